"""A command on a terminal of a given size."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

WAIT_SECONDS_MAX = 60.0
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """The terminal of a running command; `sent` is all that the command wrote."""

    def __init__(self, columns: int, rows: int) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.sent = b""

    def modes(self) -> list[object]:
        """How the terminal treats input."""
        return termios.tcgetattr(self.slave)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def screen(self) -> list[str]:
        """The lines of the newest picture that was drawn whole."""
        pictures = self.sent.decode(errors="replace").split("\x1b[H")
        return _SEQUENCE.sub("", pictures[-2 if len(pictures) > 2 else -1]).split("\n")

    def until(self, condition: Callable[[], bool]) -> None:
        """Read what the command writes until a condition is true."""
        end = time.monotonic() + WAIT_SECONDS_MAX
        while not condition():
            assert time.monotonic() < end, self.sent[-3000:]
            if select.select([self.master], [], [], 0.1)[0]:
                self.sent += os.read(self.master, 65536)


@contextmanager
def terminal(
    *words: str, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """`ringrift` with these words on a terminal; it is killed at the end of the block."""
    here = Terminal(columns, rows)
    # readline, which pytest imports, sets the size of another terminal for its children
    inherited = {name: os.environ[name] for name in os.environ.keys() - {"LINES", "COLUMNS"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "ringrift.cli.main", *words],
        stdin=here.slave,
        stdout=here.slave,
        stderr=here.slave,
        env={**inherited, "TERM": "xterm-256color", **(environment or {})},
        start_new_session=True,
    )
    try:
        yield here, process
    finally:
        process.kill()
        process.wait()
        os.close(here.master)
        os.close(here.slave)
