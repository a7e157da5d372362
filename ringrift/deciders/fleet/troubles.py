"""Failures and setbacks of the loop, and what the monitor observes of the cluster: a fact begins
each, another ends it.

Each is in force while the newest fact of its rule in a scope (a config, a node, or all) is one that
begins it, so the newest fact of every type is enough to know."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct

from ringrift.events import Fact, Recorded, facts as f, type_of

Facts = tuple[type[Fact], ...]
BREAKER_LASTS = timedelta(hours=6)
"""requirement G17.15: a breaker that is not renewed expires"""
DISAGREEMENT_LASTS = timedelta(days=7)
"""a difference between two programs, or a liar, shows in one fact of many"""
ITEM_CHARS_MAX = 200


class Rule(NamedTuple):
    """`text` describes the fact `{0}` that begins it.

    - `failure`: a reason to call the cluster unhealthy; others the loop answers itself
    - `observed`: the monitor's observation, which `ringrift status` makes itself
    - `begins`: facts of `begun` for which it is false end it
    - `item`: fields that distinguish several in one scope
    - `lasts`: it ends by itself after this time
    """

    name: str
    begun: Facts
    ended: Facts
    text: str
    failure: bool = False
    observed: bool = False
    begins: Callable[[Any], bool] = lambda _: True
    item: tuple[str, ...] = ()
    lasts: timedelta | None = None

    def key(self, event: Fact) -> tuple[str, str]:
        """The scope of a fact, and which of several in that scope it is about."""
        scope = type_of(event).subject(event).split(".")[2]
        item = "/".join(filter(None, (getattr(event, field) for field in self.item)))
        return scope, item[:ITEM_CHARS_MAX]

    def starts(self, event: Fact) -> bool:
        """Whether a fact of this rule begins it, rather than ends it."""
        return isinstance(event, self.begun) and self.begins(event)

    def why(self, event: Fact) -> str:
        """The description of a fact that begins it."""
        return self.text.format(event)


_failure, _observed = partial(Rule, failure=True), partial(Rule, observed=True)
_GENERATION = "generation {0.generation}: {0.reason}"
RULES = (
    _failure("training failed", (f.TrainingFailed,), (f.TrainingFinished,), _GENERATION),
    _failure(
        "training timed out", (f.TrainingTimedOut,), (f.TrainingFinished,), "{0.ticket} is silent"
    ),
    _failure(
        "self-play suspended",
        (f.SelfplaySuspended,),
        (f.SelfplayRestored,),
        "{0.failures} trainings failed in a row ({0.why}): it is retried in "
        "{0.retry_seconds:,.0f} s, or once it is tuned (`ringrift tune`)",
    ),
    _failure("evaluation failed", (f.EvaluationFailed,), (f.EvaluationScored,), _GENERATION),
    _failure(
        "earlier network used",
        (f.FallbackModelUsed,),
        (f.ModelPromoted,),
        "{0.wanted:.12}: {0.reason}",
    ),
    _failure(
        "verification failed",
        (f.VerificationFailed,),
        (f.VerificationPassed,),
        "{0.failures} losses or differences: see `ringrift verify`",
    ),
    _failure(
        "replica damaged", (f.ReplicaDamaged,), (f.ReplicaRepaired,), "{0.advice}", item=("stream",)
    ),
    _failure(
        "voter disk short",
        (f.VoterDiskChanged,),
        (),
        "{0.used:.0%} of its disk is in use, so no worker takes tickets: free some there",
        begins=lambda fact: fact.tier not in ("normal", "caution"),
    ),
    _failure(
        "archive failing",
        (f.ArchiveFailed,),
        (f.ArchiveRecovered,),
        "{0.error}; nothing leaves the streams meanwhile",
    ),
    _failure(
        "backup failed", (f.BackupFailed,), (f.BackupFinished,), "{0.error}; the next one continues"
    ),
    _failure(
        "rules differ",
        (f.ParityRejected,),
        (),
        "{0.command} judges game {0.game} otherwise: {0.reason:.100}; find out which of the two is "
        "wrong",
        lasts=DISAGREEMENT_LASTS,
    ),
    _failure(
        "promotion disputed",
        (f.PromotionDisputed,),
        (),
        "{0.proposer} decided EVENTS/{0.promotion} on network {0.model:.12}, which does not follow "
        "from the log as node {0.node} reads it",
        lasts=DISAGREEMENT_LASTS,
    ),
    _failure(
        "evaluator contradicted",
        (f.EvaluatorContradicted,),
        (),
        "node {0.node} scores {0.score:.0%} for network {0.model:.12} in {0.starts} starts, which "
        "other evaluators contradict; its results are left out",
        item=("node",),
        lasts=DISAGREEMENT_LASTS,
    ),
    Rule("fact skipped", (f.FactSkipped,), (), "{0.stream}/{0.seq}: {0.error}"),
    Rule("message id taken", (f.MessageIdTaken,), (), "{0.stream}/{0.seq} has the id {0.id}"),
    Rule("training blocked", (f.TrainingBlocked,), (f.TrainingRequested,), "{0.detail}"),
    Rule(
        "evaluations waiting",
        (f.EvaluationBackpressureEngaged,),
        (f.EvaluationBackpressureReleased,),
        "{0.waiting} are pending, so no training is requested",
    ),
    Rule(
        "progress stalled",
        (f.ProgressStalled,),
        (f.ProgressRecovered,),
        "no network exceeded the best for {0.stalled_seconds:,.0f} s",
    ),
    Rule(
        "regression",
        (f.RegressionDetected,),
        (f.RegressionCleared,),
        "the incumbent is {0.elo_drop:.0f} Elo weaker than an earlier network",
    ),
    Rule("rolled back", (f.ModelRolledBack,), (f.ModelPromoted,), "{0.why}"),
    Rule("loss plateau", (f.PlateauDetected,), (f.PlateauCleared,), "for {0.trainings} trainings"),
    Rule("data degraded", (f.QualityDegraded,), (f.QualityRecovered,), "{0.weakest} is low"),
    Rule(
        "webhook failing",
        (f.AlertDeliveryFailed,),
        (f.AlertDelivered,),
        "{0.reason}; look at the setting alerts.webhook and its receiver",
        failure=True,
    ),
    _failure(
        "orphan rented",
        (f.OrphanFound,),
        (f.NodeReturned,),
        "{0.instance} costs {0.cost_per_hour:,.2f} per hour and no rent explains it: return it at "
        "its provider, or set renting.returns_orphans=true",
    ),
    _failure("node not returned", (f.NodeReturnFailed,), (f.NodeReturned,), "it costs: {0.reason}"),
    _failure(
        "node not recovered",
        (f.RecoveryActionRequested,),
        (f.NodeJoined, f.NodePresenceChanged, f.NodeForgotten, f.NodeReturned),
        "{0.why}: look at it, or run `ringrift fleet forget {0.node}`",
        begins=lambda fact: fact.action == "escalate",
    ),
    Rule(
        "work waiting",
        (f.WorkEscalated,),
        (),
        "{0.kind} of {0.request} has waited for {0.waited_seconds:,.0f} s: start more workers",
        item=("kind",),
        lasts=timedelta(hours=4),
    ),
    Rule(
        "stream recreated",
        (f.StreamRecreated,),
        (),
        "{0.stream} was {0.reason}: see the logs of the servers",
        item=("stream",),
        lasts=timedelta(hours=1),
    ),
    _observed(
        "consumer missing",
        (f.ConsumerPresenceChanged,),
        (),
        "no process `{0.consumer}` runs on any node: start it",
        failure=True,
        begins=lambda fact: not fact.present,
    ),
    _observed(
        "crash loop",
        (f.CrashLoopChanged,),
        (),
        "{0.consumer} crashed {0.crashes} times in ten minutes: see its log",
        failure=True,
        begins=lambda fact: fact.looping,
        item=("consumer",),
    ),
    _observed(
        "node missing",
        (f.NodeSuspected, f.NodeDegraded, f.NodeLost),
        (f.NodeJoined, f.NodePresenceChanged, f.NodeForgotten, f.NodeReturned),
        "silent for {0.silent_seconds:,.0f} s: restart its consumers, or run `ringrift fleet "
        "forget {0.node}`",
    ),
    _observed(
        "voters missing",
        (f.QuorumLevelChanged,),
        (),
        "{0.alive} of {0.voters} are current: start the others",
        begins=lambda fact: fact.alive < fact.voters,
    ),
    _observed(
        "voter flapping",
        (f.VoterPresenceChanged,),
        (),
        "came and went, {0.changes} changes in ten minutes: see the log of its server",
        begins=lambda fact: fact.flapping,
    ),
    _observed(
        "resource short",
        (f.NodePressureChanged,),
        (),
        "{0.used:.0%} of {0.resource} is in use, so no tickets are taken: free some",
        begins=lambda fact: fact.tier in ("critical", "emergency"),
        item=("resource", "consumer"),
    ),
    _observed(
        "breaker open",
        (f.BreakerOpened, f.BreakerEscalated),
        (f.BreakerReset,),
        "{0.why}; once the cause is gone, run `ringrift breakers reset {0.target}`",
        lasts=BREAKER_LASTS,
    ),
)
_NAMED = {rule.name: rule for rule in RULES}
RULES_OF = defaultdict[type[Fact], list[Rule]](list)
"""the rules that depend on a type of fact"""
for _rule in RULES:
    for _kind in (*_rule.begun, *_rule.ended):
        RULES_OF[_kind].append(_rule)


class Trouble(Struct, frozen=True):
    """One failure or setback that is in force."""

    scope: str
    name: str
    why: str
    since: datetime
    failure: bool
    observed: bool = False

    def __str__(self) -> str:
        return f"{self.scope}: {self.name} since {self.since:%Y-%m-%d %H:%M}: {self.why}"


class Troubles:
    """The newest fact of each rule by scope and item."""

    def __init__(self) -> None:
        self._newest: dict[tuple[tuple[str, str], str], Recorded] = {}
        self._time = datetime.min.replace(tzinfo=UTC)

    def take(self, recorded: Recorded) -> None:
        """Fold a fact; facts of other types are ignored."""
        event, meta = recorded
        self._time = max(self._time, meta.time)
        for rule in RULES_OF.get(type(event), ()):
            key = rule.key(event), rule.name
            known = self._newest.get(key)
            if known is None or known.meta.seq < meta.seq:
                self._newest[key] = recorded

    def in_force(self) -> list[Trouble]:
        """Those in force at the time of the newest fact taken, by scope, the oldest first."""
        newest = ((scope, _NAMED[name], one) for ((scope, _), name), one in self._newest.items())
        found = [
            Trouble(scope, rule.name, rule.why(event), meta.time, rule.failure, rule.observed)
            for scope, rule, (event, meta) in newest
            if rule.starts(event) and not (rule.lasts and meta.time + rule.lasts <= self._time)
        ]
        return sorted(found, key=lambda trouble: (trouble.scope, trouble.since, trouble.name))
