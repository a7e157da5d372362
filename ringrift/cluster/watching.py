"""Shows a log on the terminal and takes keys; prints plain lines where there is no terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.live import Live as LiveScreen

from ringrift.cluster.picture import Place, life, match_text, picture, strength
from ringrift.cluster.terminal import clock
from ringrift.insight.describe import one_line
from ringrift.insight.generations import ConfigView
from ringrift.insight.live import Live
from ringrift.insight.needs import needs

SHOW_SECONDS = 0.5
LINE_SECONDS = 10.0
"""between two plain lines, if something has changed"""
QUIET_SECONDS_MAX = 60.0
"""without a change, after which a plain line is printed all the same"""
SAID_MAX = 50
"""messages that are printed again when the screen is left"""
SEQUENCES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\t": "tab",
    b"\x1b[Z": "left",
    b"\x1b": "escape",
}
"""what terminals send for keys"""


def keys_in(data: bytes) -> list[str]:
    """The keys in what a terminal sent."""
    found = []
    while data:
        length = next((n for n in (3, 1) if data[:n] in SEQUENCES), 1)
        key, data = data[:length], data[length:]
        found.append(SEQUENCES.get(key) or key.decode("ascii", "replace"))
    return found


class Watching:
    """The screen of `ringrift watch` and `ringrift up`."""

    def __init__(self, live: Live, out: Console, title: str) -> None:
        self.live, self.out, self.title = live, out, title
        self.place = Place()
        self.quit = asyncio.Event()
        self._screen: LiveScreen | None = None
        self._modes: list[Any] | None = None
        """of the terminal, as they were before"""
        self._said: deque[str] = deque(maxlen=SAID_MAX)
        self._started = time.monotonic()
        self._last_line, self._last_text = -LINE_SECONDS, ""

    async def run(self) -> None:
        """Show the log until cancelled; `quit` is set by the key q."""
        while True:
            self.show()
            await asyncio.sleep(SHOW_SECONDS)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Take the terminal until the block ends, if there is one; then print what was said."""
        if not self.out.is_terminal:
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        try:
            with self._keys():
                self._enter()
                try:
                    yield
                finally:
                    self._leave()
        finally:
            loop.remove_signal_handler(signal.SIGTSTP)
            for text in self._said:
                self.out.print(text, soft_wrap=True)

    def _enter(self) -> None:
        self._screen = LiveScreen(console=self.out, screen=True, auto_refresh=False)
        self._screen.start()
        self.show()

    def _leave(self) -> None:
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.stop()

    def _suspend(self) -> None:
        """Give the terminal back while this process is stopped by Ctrl-Z."""
        self._leave()
        if self._modes is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._modes)
        os.kill(os.getpid(), signal.SIGSTOP)
        if self._modes is not None:
            tty.setcbreak(sys.stdin)
        self._enter()

    @contextlib.contextmanager
    def _keys(self) -> Iterator[None]:
        """Let keys move the view, unless the input is no terminal."""
        if not sys.stdin.isatty():
            yield
            return
        descriptor = sys.stdin.fileno()
        self._modes = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor)
        asyncio.get_running_loop().add_reader(descriptor, self._typed, descriptor)
        try:
            yield
        finally:
            asyncio.get_running_loop().remove_reader(descriptor)
            termios.tcsetattr(descriptor, termios.TCSADRAIN, self._modes)

    def _typed(self, descriptor: int) -> None:
        data = os.read(descriptor, 64)
        if not data:  # the terminal is gone
            self.quit.set()
        for key in keys_in(data):
            if key in ("q", "Q", "\x04"):
                self.quit.set()
            self.place.after(key, len(self.live.loop.configs))
        self.show()

    def show(self) -> None:
        """Draw the screen; without a terminal print what has changed."""
        if self._screen is not None:
            width, height = self.out.size
            message = self._said[-1] if self._said else ""
            title = f"{clock(time.monotonic() - self._started)}  {self.title}"
            lines = picture(
                self.live,
                self.place,
                width,
                height,
                title=title,
                message=message,
                ascii_only=self.out.options.ascii_only,
            )
            self._screen.update(Group(*lines), refresh=True)
        elif not self.out.is_terminal:
            self._print()

    def _print(self) -> None:
        lines, now = list(plain_lines(self.live)), time.monotonic()
        text = "\n".join(lines)
        due = LINE_SECONDS if text != self._last_text else QUIET_SECONDS_MAX
        if now - self._last_line >= due:
            self._last_text, self._last_line = text, now
            for line in lines:
                self.out.print(f"{clock(now - self._started)}  {line}", soft_wrap=True)

    def say(self, text: str) -> None:
        """Show a message, and print it."""
        if self._screen is not None:
            self._said.append(text)
        else:
            self.out.print(text, soft_wrap=True)


def plain_lines(live: Live) -> Iterator[str]:
    """One line for each config and for each need."""
    if live.silent_seconds or not live.loop.configs:
        yield life(live)
    for item in live.loop.configs.values():
        yield "; ".join(_parts(live, item))
    for need in needs(live.loop, live):
        reason = f" ({one_line(need.why)})" if need.why else ""
        remedy = f"; {one_line(need.remedy)}" if need.remedy else ""
        yield f"{one_line(need.what)}{reason}{remedy}"


def _parts(live: Live, item: ConfigView) -> Iterator[str]:
    yield f"{item.config}: {item.doing}"
    games = live.games(item.config)
    if games < item.games_planned:
        pace = live.games_an_hour(item.config)
        yield f"games {games}/{item.games_planned}" + (f", {pace:,.0f} an hour" if pace else "")
    if now := item.training:
        yield f"step {now.step}/{now.steps}, loss {now.loss:.3f}"
    for match in live.running.open(item.config):
        yield match_text(match, live)
    if best := item.rating_of(item.current):
        yield f"current {best.participant.partition(':')[0]} {strength(item)}"
