"""Loading or compiling the search, once a process."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

import numpy as np

from ringrift.rules import position
from ringrift.rules.config import Config
from ringrift.search import game_tree as gt
from ringrift.search.players import Boards, SearchOptions, TreePlayer

NOTICE_SECONDS: Final = 1.5


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Say on stderr that `what` is being compiled, if that takes longer than loading it would."""
    text = f"ringrift: compiling {what}, once for this version (up to 30 s) ..."
    notice = threading.Timer(NOTICE_SECONDS, lambda: print(text, file=sys.stderr))
    notice.daemon = True
    notice.start()
    try:
        yield
    finally:
        notice.cancel()


@cache
def warm_up() -> None:
    """Load the compiled rules and search; a first compilation, which takes up to half a minute, is
    announced on stderr."""
    position.warm_up()
    with announced("the search"):
        config = Config("square8", 2)
        boards = Boards(config, 1, 8)
        boards.start(0, False)
        player = TreePlayer(config, gt.NULL, SearchOptions(simulations=1))
        (decision,) = player.choose(boards.table.states, np.zeros(1, np.uint64))
        boards.play([0], [decision.move])
