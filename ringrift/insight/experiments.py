"""Experiments of the log: what was tried, how the pairs of networks played, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from ringrift.events import facts
from ringrift.insight.describe import one_line, short
from ringrift.log import read
from ringrift.log.protocol import Log


class Pair(Struct, frozen=True, kw_only=True):
    """The match of two networks that were trained on the same shards."""

    a: str
    b: str
    games: int
    score: float
    """mean of b"""


class Experiment(Struct, kw_only=True):
    """One experiment; `id` is the position of its beginning."""

    id: str
    config: str
    hypothesis: str
    a: dict[str, str]
    b: dict[str, str]
    pairs_max: int
    starts: int
    pairs: list[Pair] = field(default_factory=list)
    ended: facts.ExperimentEnded | None = None

    @property
    def verdict(self) -> str:
        """In one word."""
        return self.ended.verdict if self.ended else "running"

    @property
    def adopting(self) -> str:
        """The command that gives the config the settings of the better arm; empty without one."""
        if self.verdict != "b":
            return ""
        return f"ringrift tune --config {self.config} {settings_text(self.b, '--set ')}"

    def text(self) -> Iterator[str]:
        """Yield lines for people."""
        yield f"{self.id}  {self.config}: {one_line(self.hypothesis)}"
        for arm in ("a", "b"):
            yield f"  {arm}  {settings_text(getattr(self, arm))}"
        for number, pair in enumerate(self.pairs, start=1):
            players = f"b {short(pair.b)} against a {short(pair.a)}"
            score = f"{pair.score:.1%} of {pair.games}"
            yield f"  pair {number} of {self.pairs_max}  {players}: {score}"
        yield f"  {self.verdict}{f': {one_line(self.ended.why)}' if self.ended else ''}"
        if self.ended and (evidence := self.ended.evidence):
            elo = f"{evidence.elo:+.0f} Elo (± {evidence.elo_95_half_width:.0f})"
            yield f"  b is {elo} from a, over the networks of these pairs"
        if self.adopting:
            yield f"  to adopt b: {self.adopting}"


def settings_text(values: Mapping[str, str], before: str = "") -> str:
    """Return settings as on the command line."""
    return " ".join(f"{before}{name}={value}" for name, value in values.items())


async def experiments(log: Log) -> list[Experiment]:
    """Return all experiments, oldest first. Of two of a config that were started at once only the
    first counts."""
    found: list[Experiment] = []
    running: dict[str, Experiment] = {}
    kinds = (facts.ExperimentStarted, facts.ExperimentEnded, facts.EvaluationScored)
    async for event, meta in read.facts(log, *kinds):
        item = running.get(event.config)
        match event:
            case facts.ExperimentStarted() if item is None:
                running[event.config] = Experiment(
                    id=meta.position,
                    config=event.config,
                    hypothesis=event.hypothesis,
                    a=event.a,
                    b=event.b,
                    pairs_max=event.pairs,
                    starts=event.starts,
                )
                found.append(running[event.config])
            case facts.ExperimentEnded() if item and event.experiment == item.id:
                running.pop(event.config).ended = event
            case facts.EvaluationScored() if item and event.purpose == "experiment":
                starts = sum(count for _, count in event.scores)
                score = sum(value * count for value, count in event.scores) / starts
                names = {"a": event.opponent, "b": event.candidate}
                pair = Pair(**names, games=event.games, score=score)
                item.pairs.append(pair)
    return found
