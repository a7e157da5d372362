"""Verification of what events say about each other: who wrote them, on which cause, and what they
name that other streams must hold."""

from collections.abc import Iterator

from msgspec.structs import asdict

from ringrift.consumers.verification.report import Problem
from ringrift.events import EventMeta, Fact, facts
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.authorship import deciders, writers
from ringrift.runtime.processes import COMMANDS, WRITTEN_BY_COMMANDS

Asked = facts.SelfplayPlanned | facts.EvaluationRequested | facts.ReanalysisRequested


UNCHECKED_MAX = 10_000
"""Scores that wait for their recount; it follows within seconds."""
WORDS = {
    facts.SelfplayPlanned: "selfplay",
    facts.EvaluationRequested: "evaluation",
    facts.ReanalysisRequested: "reanalysis",
}
"""The first word of the ids of tickets, by the type of their request."""


class History:
    """What `EVENTS` says, as far as it is compared with other streams."""

    def __init__(self) -> None:
        self.seq = 0
        """Of the newest event of `EVENTS`."""
        self.requests: dict[str, tuple[Asked, str]] = {}
        """Requests for games and matches with their positions, by the part of an id that their
        tickets share."""
        self.outcomes: dict[str, tuple[int, str]] = {}
        """Games of finished self-play tickets, and the position that says so, by ticket."""
        self.scores: dict[str, tuple[facts.EvaluationScored, str]] = {}
        """Scores that are not recounted yet, with their positions, by ticket."""
        self._unchecked: dict[str, facts.EvaluationScored] = {}
        """By position, scores whose recounts are to come."""
        self.shards: list[tuple[facts.ShardExported, str]] = []
        """Shards that are not made again yet, with their positions."""
        self.blobs: dict[str, dict[str, str]] = {"models": {}, "shards": {}}
        """Positions by bucket and digest."""
        self.excused: set[tuple[str, int]] = set()
        """Messages whose dead letters an operator has dropped."""
        self.named: dict[str, tuple[int, str]] = {}
        """By stream, the highest sequence that a fact names, and the fact's position."""
        self._decided = {kind for decider in deciders().values() for kind in decider.writes}

    def take(self, event: Fact, meta: EventMeta) -> Iterator[Problem]:
        """Fold an event of `EVENTS` and yield the problems with its author and its cause."""
        self.seq = meta.seq
        yield from self.author(event, meta)
        match event:
            case (
                facts.SelfplayPlanned() | facts.EvaluationRequested() | facts.ReanalysisRequested()
            ):
                token = meta.position.replace("/", "-").lower()
                self.requests[f"{WORDS[type(event)]}-{token}"] = event, meta.position
            case facts.SelfplayFinished():
                self.outcomes.setdefault(event.ticket, (event.games, meta.position))
            case facts.EvaluationScored():
                self.scores.setdefault(event.ticket, (event, meta.position))
                self._unchecked[meta.position] = event
                while len(self._unchecked) > UNCHECKED_MAX:
                    del self._unchecked[next(iter(self._unchecked))]
            case facts.EvaluationRecounted():
                score = self._unchecked.pop(meta.cause or "", None)
                if score is None or asdict(score) != asdict(event):
                    text = f"EvaluationRecounted is not the score at {meta.cause}"
                    yield Problem("score", meta.position, "fail", text)
            case facts.ModelRegistered() | facts.ModelDerived():
                self.blobs["models"].setdefault(event.model, meta.position)
            case facts.ModelRetired():
                self.blobs["models"].pop(event.model, None)
            case facts.ModelKept(kept=True):
                self.blobs["models"].setdefault(event.model, meta.position)
            case facts.ShardExported():
                self.shards.append((event, meta.position))
                self.blobs["shards"].pop(event.supersedes or "", None)
                self.blobs["shards"][event.digest] = meta.position
                self.name(GAMES, event.last_seq, meta.position)
            case facts.ShardRetired():
                self.blobs["shards"].pop(event.digest, None)
            case facts.DeadLetterResolved():
                self.excused.add((event.stream, event.seq))

    def author(self, event: Fact, meta: EventMeta) -> Iterator[Problem]:
        """Yield the problems with an event's author and its cause."""
        kind, by = type(event), meta.source.partition("@")[0]
        if by not in writers(kind):
            allowed = ", ".join(writers(kind)) or "no process"
            text = f"{kind.__name__} was written by {meta.source!r}; {allowed} may write it"
            yield Problem("message", meta.position, "fail", text)
        by_command = by == COMMANDS and kind in WRITTEN_BY_COMMANDS
        if kind in self._decided and meta.cause is None and not by_command:
            text = f"{kind.__name__} is a decision without a cause"
            yield Problem("message", meta.position, "fail", text)
        stream, _, seq = (meta.cause or "").partition("/")
        if stream == meta.stream and seq.isdecimal() and int(seq) >= meta.seq:
            text = f"{kind.__name__} names {meta.cause}, which is not earlier, as its cause"
            yield Problem("message", meta.position, "fail", text)
        elif seq.isdecimal():
            self.name(stream, int(seq), meta.position)

    def name(self, stream: str, seq: int, position: str) -> None:
        """Note that the fact at a position names a message."""
        if stream in (EVENTS, GAMES) and seq > self.named.get(stream, (0, ""))[0]:
            self.named[stream] = seq, position
