"""The output of `ringrift up`: one live screen on a terminal, plain lines elsewhere; tables."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ringrift.cluster.terminal import clock
from ringrift.events.facts import Rating
from ringrift.insight.describe import table
from ringrift.insight.elo import elo_label, elo_text, unrated_note
from ringrift.insight.generations import ConfigView, Generation, LoopView, Score
from ringrift.log.presence import Heartbeat

RATE_WINDOW_SECONDS = 20.0
PLAIN_LINE_SECONDS = 10.0


class Screen:
    """Shows a `LoopView`, with games and moves per second over the last `RATE_WINDOW_SECONDS`."""

    def __init__(self, view: LoopView, console: Console) -> None:
        from rich.live import Live

        self.view, self.console = view, console
        live = Live(console=console, refresh_per_second=4, transient=True)
        self.live = live if console.is_terminal else None
        self._started = time.monotonic()
        self._last_line = 0.0
        self._last_text = ""
        self._games: deque[tuple[float, int]] = deque()

    def count_game(self, plies: int) -> None:
        """Count a game of `plies` moves that has just ended."""
        self._games.append((time.monotonic(), plies))

    def _rates(self) -> tuple[float, float]:
        """(games, moves) per second."""
        since = time.monotonic() - RATE_WINDOW_SECONDS
        while self._games and self._games[0][0] < since:
            self._games.popleft()
        plies = sum(count for _, count in self._games)
        return len(self._games) / RATE_WINDOW_SECONDS, plies / RATE_WINDOW_SECONDS

    def show(self, heartbeats: Sequence[Heartbeat], tail: int, note: str = "") -> None:
        """Show the state of the loop; without a terminal print changes, at most every
        `PLAIN_LINE_SECONDS`."""
        if self.live:
            self.live.update(self._picture(heartbeats, tail, note))
            return
        lines = [self._line(view) for view in self.view.configs.values()] or [note or "starting"]
        lines += notice_lines(self.view)
        text, now = "\n".join(lines), time.monotonic()
        if text != self._last_text and now - self._last_line >= PLAIN_LINE_SECONDS:
            self._last_text, self._last_line = text, now
            for line in lines:
                self.console.print(f"{clock(now - self._started)}  {line}", soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line, above the live screen if there is one."""
        self.console.print(text, soft_wrap=True)

    def _line(self, view: ConfigView) -> str:
        parts = [f"{view.config}: {view.doing}"]
        if view.games < view.games_planned:
            games, moves = self._rates()
            count = f"games {view.games}/{view.games_planned}"
            parts.append(f"{count}, {games:.1f} games/s, {moves:.0f} moves/s")
        if now := view.training:
            speed = f"{now.samples_per_second:,.0f} samples/s"
            parts.append(f"step {now.step}/{now.steps}, loss {now.loss:.3f}, {speed}")
        if best := view.rating_of(view.current):
            name = best.participant.partition(":")[0]
            parts.append(f"current {name} {elo_text(best)} ({elo_label(view.anchor)})")
        parts.append(self._eta(view))
        return "; ".join(parts)

    def _eta(self, view: ConfigView) -> str:
        """The time left at the pace of the generations judged in this run, in words."""
        times = [row.judged_at for row in view.generations.values() if row.judged_at]
        if not (wanted := self.view.generations_wanted):
            return "runs until stopped"
        if len(times) < 2:
            return "ETA known after two generations"
        pace = (max(times) - min(times)).total_seconds() / (len(times) - 1)
        return f"ETA {clock(max(0.0, (wanted - view.judged) * pace))}"

    def _picture(self, heartbeats: Sequence[Heartbeat], tail: int, note: str) -> RenderableType:
        title = f"RingRift  {clock(time.monotonic() - self._started)}  {note}"
        parts: list[RenderableType] = [Text(title, style="bold")]
        for view in self.view.configs.values():
            parts += [Text(self._line(view)), generations_table(view)]
            parts.append(ratings_table(view.config, view.ratings, view.anchor, view.unrated))
        parts.append(consumers_table(heartbeats, tail))
        if count := self.view.dead_letters:
            parts.append(Text(f"{count} dead letters: see `ringrift dlq list`", style="red"))
        parts += [Text(line, style="yellow") for line in notice_lines(self.view)]
        return Group(*parts)


def notice_lines(view: LoopView) -> list[str]:
    """One line for each failure or setback and for each pause, with the reason."""
    return [str(trouble) for trouble in view.troubles.in_force()] + [
        f"paused: {what} ({why}); `ringrift resume` ends it"
        for what, why in sorted(view.paused.items())
    ]


def generations_table(view: ConfigView) -> Table:
    """One row per generation: its data, its scores, and its verdict with the reason."""
    numbers = (">gen", ">games", ">samples", ">loss", ">vs random", ">vs heuristic", ">Elo")
    rows = []
    for _, row in sorted(view.generations.items()):
        loss = None if row.loss is None else f"{row.loss:.3f}"
        scores = (_score(row.scores.get(baseline)) for baseline in ("random", "heuristic"))
        rating = view.rating_of(row.model)
        elo = elo_text(rating) if rating else None
        rows.append((row.number, row.games, row.samples, loss, *scores, elo, _verdict(row)))
    title = f"{view.config}: generations ({elo_label(view.anchor)})"
    return table((*numbers, "verdict"), rows, title)


def ratings_table(
    config: str, ratings: Iterable[Rating], anchor: str | None, unrated: tuple[str, ...] = ()
) -> Table:
    """The Elo of every participant above the anchor, the strongest first; below it, who has
    none."""
    rows = ((row.participant, elo_text(row), row.games) for row in ratings)
    title = f"{config}: ratings ({elo_label(anchor)})"
    found = table(("participant", ">Elo", ">games"), rows, title)
    found.caption = unrated_note(unrated, anchor)
    return found


def consumers_table(heartbeats: Sequence[Heartbeat], tail: int) -> Table:
    """The running consumers, their activities, and their lag behind `tail` in events."""
    rows = []
    for beat in sorted(heartbeats, key=lambda beat: (beat.consumer, beat.instance)):
        lag = max(0, tail - beat.seq) if beat.folds else None
        rows.append((beat.consumer, beat.node, beat.doing, lag, beat.errors or None, beat.health))
    columns = ("consumer", "node", "doing", ">lag", ">errors", "health")
    return table(columns, rows, "consumers")


def _score(score: Score | None) -> str | None:
    if score is None:
        return None
    low, high = score.interval
    return f"{score.share:.1%} ({low:.0%}-{high:.0%})"


def _verdict(row: Generation) -> str:
    if row.promoted is None:
        return "in evaluation" if row.model else "in training"
    verdict = "promoted" if row.promoted else "rejected"
    return f"{verdict}{', tainted' if row.tainted else ''}: {row.why}"
