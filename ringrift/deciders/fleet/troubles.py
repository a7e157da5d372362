"""Failures and setbacks of the loop: a fact begins each, another ends it.

Each is in force while the newest fact of its rule in a scope (a config, a node, or all) is one that
begins it, so the newest fact of every type is enough to know."""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from ringrift.events import Fact, Recorded, facts as f, type_of


class Rule(NamedTuple):
    """`text` describes the fact `{0}` that begins it."""

    name: str
    begun: type[Fact]
    ended: tuple[type[Fact], ...]
    text: str


_GENERATION = "generation {0.generation}: {0.reason}"
FAILURES = (
    Rule("training failed", f.TrainingFailed, (f.TrainingFinished,), _GENERATION),
    Rule("training timed out", f.TrainingTimedOut, (f.TrainingFinished,), "{0.ticket} is silent"),
    Rule("evaluation failed", f.EvaluationFailed, (f.EvaluationScored,), _GENERATION),
    Rule(
        "earlier network used",
        f.FallbackModelUsed,
        (f.ModelPromoted,),
        "{0.wanted:.12}: {0.reason}",
    ),
    Rule(
        "verification failed",
        f.VerificationFailed,
        (f.VerificationPassed,),
        "{0.failures} losses or differences: see `ringrift verify`",
    ),
)
"""reasons to call the cluster unhealthy"""
SETBACKS = (
    Rule("fact skipped", f.FactSkipped, (), "{0.stream}/{0.seq}: {0.error}"),
    Rule("message id taken", f.MessageIdTaken, (), "{0.stream}/{0.seq} has the id {0.id}"),
    Rule("training blocked", f.TrainingBlocked, (f.TrainingRequested,), "{0.detail}"),
    Rule(
        "evaluations waiting",
        f.EvaluationBackpressureEngaged,
        (f.EvaluationBackpressureReleased,),
        "{0.waiting} are pending, so no training is requested",
    ),
    Rule(
        "progress stalled",
        f.ProgressStalled,
        (f.ProgressRecovered,),
        "no network exceeded the best for {0.stalled_seconds:,.0f} s",
    ),
    Rule(
        "regression",
        f.RegressionDetected,
        (f.RegressionCleared,),
        "the incumbent is {0.elo_drop:.0f} Elo weaker than an earlier network",
    ),
    Rule("rolled back", f.ModelRolledBack, (f.ModelPromoted,), "{0.why}"),
    Rule("loss plateau", f.PlateauDetected, (f.PlateauCleared,), "for {0.trainings} trainings"),
    Rule("data degraded", f.QualityDegraded, (f.QualityRecovered,), "{0.weakest} is low"),
)
"""what the loop answers itself, and what stays to be looked at"""
RULES_OF = defaultdict[type[Fact], list[Rule]](list)
"""the rules that depend on a type of fact"""
for _rule in FAILURES + SETBACKS:
    for _kind in (_rule.begun, *_rule.ended):
        RULES_OF[_kind].append(_rule)


class Trouble(Struct, frozen=True):
    """One failure or setback that is in force."""

    scope: str
    name: str
    why: str
    since: datetime
    failure: bool

    def __str__(self) -> str:
        return f"{self.scope}: {self.name} since {self.since:%Y-%m-%d %H:%M}: {self.why}"


class Troubles:
    """The newest fact of each rule by scope."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, Rule], Recorded] = {}

    def take(self, recorded: Recorded) -> None:
        """Fold a fact; facts of other types are ignored."""
        event, meta = recorded
        for rule in RULES_OF.get(type(event), ()):
            key = type_of(event).subject(event).split(".")[2], rule
            known = self._newest.get(key)
            if known is None or known.meta.seq < meta.seq:
                self._newest[key] = recorded

    def in_force(self) -> list[Trouble]:
        """Those in force, by scope, the oldest first."""
        found = [
            Trouble(scope, rule.name, rule.text.format(event), meta.time, rule in FAILURES)
            for (scope, rule), (event, meta) in self._newest.items()
            if isinstance(event, rule.begun)
        ]
        return sorted(found, key=lambda trouble: (trouble.scope, trouble.since, trouble.name))
