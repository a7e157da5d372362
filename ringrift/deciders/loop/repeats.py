"""Which matches against a baseline are played again? Those of networks that must be measured again,
and those that failed, until they have failed as often as a training is tried."""

from __future__ import annotations

from collections.abc import Iterator

from ringrift.deciders.kit import Fold, Struct, replace
from ringrift.deciders.loop.attempts import ATTEMPTS_MAX
from ringrift.events import facts as f
from ringrift.events.participants import seat

RANDOM, HEURISTIC = seat("random"), seat("heuristic")
BASELINES: dict[f.Purpose, f.Seat] = {"random": RANDOM, "heuristic": HEURISTIC}
MATCHES_MAX = 64
"""matches that failed and are remembered"""


class Retest(Struct, frozen=True, kw_only=True):
    """A network that must play the baselines again: how often, and how often that was
    requested."""

    generation: int
    due: int = 0
    done: int = 0


class FailedMatch(Struct, frozen=True, kw_only=True):
    """A match of a network against a baseline, and the tickets of it that failed."""

    model: str
    purpose: f.Purpose
    generation: int
    round: int = 0
    tickets: tuple[str, ...] = ()
    repeated: int = 0
    """tickets after whose failure it was requested again"""


class Failures(Struct, frozen=True, kw_only=True):
    """The newest `MATCHES_MAX` of a config."""

    matches: tuple[FailedMatch, ...] = ()

    def due(self) -> Iterator[tuple[FailedMatch, int]]:
        """Those to request again, and how often each failed."""
        for match in self.matches:
            if match.repeated < (failures := len(match.tickets)) < ATTEMPTS_MAX:
                yield match, failures

    def changed(self, match: FailedMatch) -> Failures:
        """With this state of a match."""
        key = match.model, match.purpose
        others = [one for one in self.matches if (one.model, one.purpose) != key]
        return Failures(matches=(*others, match)[-MATCHES_MAX:])

    def of(self, model: str | None, purpose: f.Purpose) -> FailedMatch | None:
        """The match of a network against a baseline, if it failed."""
        found = (one for one in self.matches if (one.model, one.purpose) == (model, purpose))
        return next(found, None)


FAILED_MATCHES = Fold(Failures)


@FAILED_MATCHES.evolves
def failed(item: Failures, fact: f.EvaluationFailed) -> Failures:
    model, purpose = fact.candidate_model, fact.purpose
    if purpose not in BASELINES or model is None:
        return item
    new = FailedMatch(model=model, purpose=purpose, generation=fact.generation)
    match = item.of(model, purpose) or new
    if fact.ticket in match.tickets:
        return item
    return item.changed(replace(match, tickets=(*match.tickets, fact.ticket)))


@FAILED_MATCHES.evolves
def requested(item: Failures, fact: f.EvaluationRequested) -> Failures:
    match = item.of(fact.candidate.model, fact.purpose)
    if match is None:
        return item
    return item.changed(replace(match, round=fact.round, repeated=len(match.tickets)))
