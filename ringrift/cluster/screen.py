"""What one sees while the loop runs: one live screen on a terminal, plain lines elsewhere. And the
table at the end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ringrift.cluster.terminal import PLAIN_WIDTH, clock
from ringrift.insight.generations import ConfigView, Generation, LoopView, Score
from ringrift.log.presence import Heartbeat

RATE_WINDOW_SECONDS = 20.0
PLAIN_LINE_SECONDS = 10.0


class Rates:
    """Games and moves a second over the last `RATE_WINDOW_SECONDS`."""

    def __init__(self) -> None:
        self._games: deque[tuple[float, int]] = deque()
        self.games = 0
        self.plies = 0

    def add(self, plies: int) -> None:
        """A game of `plies` moves has just ended."""
        self._games.append((time.monotonic(), plies))
        self.games += 1
        self.plies += plies

    def per_second(self) -> tuple[float, float]:
        """(games, moves) a second."""
        since = time.monotonic() - RATE_WINDOW_SECONDS
        while self._games and self._games[0][0] < since:
            self._games.popleft()
        return len(self._games) / RATE_WINDOW_SECONDS, sum(
            plies for _, plies in self._games
        ) / RATE_WINDOW_SECONDS


class Screen:
    """Shows a `LoopView`; call `show` as often as you like."""

    def __init__(self, view: LoopView, rates: Rates, console: Console | None = None) -> None:
        self.view, self.rates = view, rates
        self.console = console or Console()
        if not self.console.is_terminal:
            self.console = Console(width=PLAIN_WIDTH, highlight=False)
        self._live = (
            Live(console=self.console, refresh_per_second=4, transient=True)
            if self.console.is_terminal
            else None
        )
        self._started = time.monotonic()
        self._last_line = 0.0
        self._last_text = ""

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, heartbeats: Sequence[Heartbeat], tail: int, note: str = "") -> None:
        """Draw the state of the loop; off a terminal a line when something changed, at most every
        `PLAIN_LINE_SECONDS`."""
        if self._live:
            self._live.update(self._picture(heartbeats, tail, note))
            return
        lines = [self._line(view) for view in self.view.configs.values()] or [note or "starting"]
        lines += pause_lines(self.view)
        text, now = "\n".join(lines), time.monotonic()
        if text != self._last_text and now - self._last_line >= PLAIN_LINE_SECONDS:
            self._last_text, self._last_line = text, now
            for line in lines:
                self.console.print(f"{clock(now - self._started)}  {line}", soft_wrap=True)

    def say(self, text: str) -> None:
        """A line above the live screen, or just a line."""
        (self._live.console if self._live else self.console).print(text, soft_wrap=True)

    def _line(self, view: ConfigView) -> str:
        games, moves = self.rates.per_second()
        parts = [f"{view.config}: {view.doing}"]
        if view.games < view.games_planned:
            parts.append(
                f"games {view.games}/{view.games_planned}, {games:.1f} games/s, {moves:.0f} moves/s"
            )
        if view.training:
            parts.append(_training(view))
        best = view.rating_of(view.current)
        if best:
            parts.append(
                f"current {best.participant.partition(':')[0]} Elo {best.elo:+.0f} ± {best.se:.0f}"
            )
        parts.append(f"ETA {self._eta(view)}")
        return "; ".join(parts)

    def _eta(self, view: ConfigView) -> str:
        """Time left at the pace of the generations judged in this run; unknown before the first."""
        wanted = self.view.generations_wanted
        times = [row.judged_at for row in view.generations.values() if row.judged_at]
        if not wanted:
            return "until stopped"
        if len(times) < 2:
            return "after two generations"
        pace = (max(times) - min(times)).total_seconds() / (len(times) - 1)
        return clock(max(0.0, (wanted - view.judged) * pace))

    def _picture(self, heartbeats: Sequence[Heartbeat], tail: int, note: str) -> RenderableType:
        parts: list[RenderableType] = [
            Text(f"RingRift  {clock(time.monotonic() - self._started)}  {note}", style="bold")
        ]
        for view in self.view.configs.values():
            parts.append(Text(self._line(view)))
            parts.append(generations_table(view))
            parts.append(ratings_table(view))
        parts.append(consumers_table(heartbeats, tail))
        if self.view.dead_letters:
            parts.append(
                Text(f"{self.view.dead_letters} dead letters: see `ringrift dlq list`", style="red")
            )
        parts += [Text(line, style="yellow") for line in pause_lines(self.view)]
        return Group(*parts)


def pause_lines(view: LoopView) -> list[str]:
    """One line a pause: what, why, and how it ends."""
    return [
        f"paused: {what} ({why}); `ringrift resume` ends it"
        for what, why in sorted(view.paused.items())
    ]


def generations_table(view: ConfigView) -> Table:
    """One row a generation: what it was made from, how it scored, whether it was promoted and
    why."""
    table = Table(title=f"{view.config}: generations", title_justify="left", pad_edge=False)
    for name in (
        "gen",
        "games",
        "positions",
        "loss",
        "vs random",
        "vs heuristic",
        "Elo",
        "verdict",
    ):
        table.add_column(
            name, justify="left" if name == "verdict" else "right", no_wrap=name != "verdict"
        )
    for _, row in sorted(view.generations.items()):
        rating = view.rating_of(row.model)
        table.add_row(
            str(row.number),
            f"{row.games:,}",
            f"{row.samples:,}",
            "" if row.loss is None else f"{row.loss:.3f}",
            _score(row.scores.get("random")),
            _score(row.scores.get("heuristic")),
            f"{rating.elo:+.0f} ± {rating.se:.0f}" if rating else "",
            _verdict(row),
        )
    return table


def ratings_table(view: ConfigView) -> Table:
    """Everyone's Elo with its standard error, strongest first."""
    table = Table(title=f"{view.config}: ratings", title_justify="left", pad_edge=False)
    for name in ("participant", "Elo", "s.e.", "games"):
        table.add_column(name, justify="left" if name == "participant" else "right")
    for row in view.ratings:
        table.add_row(row.participant, f"{row.elo:+.1f}", f"{row.se:.1f}", f"{row.games:,}")
    return table


def consumers_table(heartbeats: Sequence[Heartbeat], tail: int) -> Table:
    """Who runs, what it does, and how many events behind the log it is."""
    table = Table(title="consumers", title_justify="left", pad_edge=False)
    for name in ("consumer", "node", "doing", "lag", "errors", "health"):
        table.add_column(name, justify="right" if name in ("lag", "errors") else "left")
    for beat in sorted(heartbeats, key=lambda beat: (beat.consumer, beat.instance)):
        lag = f"{max(0, tail - beat.seq):,}" if beat.folds else ""
        table.add_row(
            beat.consumer,
            beat.node,
            beat.doing,
            lag,
            str(beat.errors) if beat.errors else "",
            beat.health,
        )
    return table


def print_summary(
    console: Console, view: LoopView, plots: dict[str, Path], continue_with: str
) -> None:
    """The end of a run: the tables, where the plots are, and the command that goes on."""
    for item in view.configs.values():
        console.print(generations_table(item))
        console.print(ratings_table(item))
        console.print(
            f"{item.games:,} games, {item.plies:,} moves, {item.samples:,} positions in {item.shards} shards"
        )
        if item.config in plots:
            console.print(f"Elo over games: {plots[item.config]}", soft_wrap=True)
    console.print(f"go on with: {continue_with}", soft_wrap=True)


def _score(score: Score | None) -> str:
    if score is None:
        return ""
    low, high = score.interval
    return f"{score.share:.1%} ({low:.0%}-{high:.0%})"


def _verdict(row: Generation) -> str:
    if row.promoted is None:
        return "on trial" if row.model else "in training"
    return f"{'promoted' if row.promoted else 'rejected'}{', tainted' if row.tainted else ''}: {row.why}"


def _training(view: ConfigView) -> str:
    now = view.training
    if now is None:
        return ""
    return (
        f"step {now.step}/{now.steps}, loss {now.loss:.3f}, {now.samples_per_second:,.0f} samples/s"
    )
