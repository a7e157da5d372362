"""The log as TensorBoard files, one run a config and one a training. Needs the extra `tensorboard`.

    <output>/hex8_2p/                scalars of the config by self-play games
    <output>/hex8_2p/generation-12/  losses of one training by gradient step

Times are those at which the server stored the facts. An export replaces the files of an earlier one
(`SUFFIX`), because points continue sums over the whole log; other files stay."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from ringrift.errors import CommandError
from ringrift.events import Recorded, facts as f
from ringrift.insight.describe import short

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

SUFFIX = ".ringrift"
FLUSH_SECONDS = 1.0
RATE_SECONDS = 3600.0
"""window of games per hour"""


class Point(NamedTuple):
    """A scalar: its run (a path below the output), name, step, value, and time in seconds since
    1970."""

    run: str
    name: str
    step: int
    value: float
    time: float


class Curves:
    """A fold of `EVENTS` that yields the points of each fact."""

    def __init__(self) -> None:
        self._games: dict[str, int] = {}
        self._samples: dict[str, int] = {}
        self._current: dict[str, str] = {}
        self._recent: dict[str, deque[tuple[float, int]]] = {}

    def take(self, recorded: Recorded) -> Iterator[Point]:
        """Fold an event; events are folded in the order of the log."""
        event, time = recorded.event, recorded.meta.time.timestamp()
        if not isinstance(event, f.ConfigFact):
            return
        for name, value in self._values(event, time):
            yield Point(event.config, name, self._games.get(event.config, 0), value, time)
        if isinstance(event, f.TrainingProgressed):
            run = f"{event.config}/generation-{event.generation}"
            for name, value in _losses(event):
                yield Point(run, name, event.step, value, time)
            yield Point(
                run, "training/samples_per_second", event.step, event.samples_per_second, time
            )

    def _values(self, event: f.ConfigFact, time: float) -> Iterator[tuple[str, float]]:
        config = event.config
        match event:
            case f.SelfplayFinished():
                self._games[config] = self._games.get(config, 0) + event.games
                yield "games/selfplay", self._games[config]
                yield "games/per_hour", self._rate(config, event.games, time)
            case f.ShardExported() if event.supersedes is None:
                self._samples[config] = self._samples.get(config, 0) + event.samples
                yield "games/samples", self._samples[config]
            case f.TrainingFinished():
                yield from _losses(event)
                yield "training/seconds", event.train_seconds
            case f.EvaluationScored() if event.purpose not in f.MEASURING and event.games:
                yield f"score/{event.purpose}", event.wins / event.games
            case f.ModelPromoted() | f.PromotionRejected():
                yield "verdict/promoted", float(isinstance(event, f.ModelPromoted))
                if event.evidence:
                    yield "verdict/llr", event.evidence.llr
                if event.current:
                    self._current[config] = event.current
            case f.ModelRolledBack():
                self._current[config] = event.current
                yield "verdict/rolled_back", 1.0
            case f.RatingsUpdated():
                yield from self._elo(event)
            case f.QualityAssessed():
                yield "quality/score", event.score
                yield "quality/adjusted", event.adjusted

    def _rate(self, config: str, games: int, time: float) -> float:
        """Games per hour over the last `RATE_SECONDS`, or since the first games if they are
        newer."""
        recent = self._recent.setdefault(config, deque())
        recent.append((time, games))
        while recent[0][0] < time - RATE_SECONDS:
            recent.popleft()
        seconds = max(time - recent[0][0], 1.0)
        counted = sum(count for _, count in recent) - (recent[0][1] if len(recent) > 1 else 0)
        return counted * 3600.0 / seconds

    def _elo(self, event: f.RatingsUpdated) -> Iterator[tuple[str, float]]:
        """Elo of the incumbent above the anchor, with the limits of its 95 % interval."""
        # tables of version 1 do not name the incumbent
        name = event.current or f"{short(self._current.get(event.config, '-'))}:"
        rows = (row for row in event.ratings if row.participant.startswith(name))
        if (row := next(rows, None)) is not None:
            yield "elo/current", row.elo
            yield "elo/current_low_95", row.elo - row.elo_95_half_width
            yield "elo/current_high_95", row.elo + row.elo_95_half_width


def _losses(event: f.TrainingProgressed | f.TrainingFinished) -> Iterator[tuple[str, float]]:
    yield "loss/total", event.loss
    yield "loss/policy", event.policy_loss
    yield "loss/value", event.value_loss
    if event.validation_loss is not None:
        yield "loss/validation", event.validation_loss


class Writers:
    """The event files of an output folder, one for each run; a context manager that closes them.

    Raises CommandError without the extra."""

    def __init__(self, output: Path) -> None:
        try:
            import tensorboard  # noqa: F401
        except ImportError as error:
            raise CommandError(
                f"the export needs the extra `tensorboard`: pip install 'ringrift[tensorboard]' "
                f"({error})"
            ) from error
        self.output, self.points = output, 0
        earlier = [*output.rglob(f"events.out.tfevents.*{SUFFIX}")]
        for path in earlier:
            path.unlink()
        self.replaced = len(earlier)
        self._files: dict[str, EventFileWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()

    @property
    def runs(self) -> int:
        """Number of runs with points."""
        return len(self._files)

    def add(self, point: Point) -> None:
        """Write a point to its run. Raises OSError."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        value = Summary.Value(tag=point.name, simple_value=point.value)
        summary = Summary(value=[value])
        file = self._files.get(point.run) or self._open(point.run)
        file.add_event(Event(wall_time=point.time, step=point.step, summary=summary))
        self.points += 1

    def _open(self, run: str) -> EventFileWriter:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        file = EventFileWriter(
            str(self.output / run), flush_secs=FLUSH_SECONDS, filename_suffix=SUFFIX
        )
        self._files[run] = file
        return file


async def export(events: AsyncIterator[Recorded], writers: Writers) -> None:
    """Write the points of all events."""
    curves = Curves()
    async for recorded in events:
        for point in curves.take(recorded):
            writers.add(point)
