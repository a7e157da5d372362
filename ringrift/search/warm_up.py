"""Loading or compiling the search, once a process."""

from functools import cache

import numpy as np

from ringrift.rules import position
from ringrift.rules.compile import announced
from ringrift.rules.config import Config
from ringrift.search import game_tree as gt
from ringrift.search.players import Boards, SearchOptions, TreePlayer


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
