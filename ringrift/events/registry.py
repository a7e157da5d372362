"""The one list of event types: where each lives, who writes it, who reads it.

An event type without an emitter and a consumer, or a stated reason, fails a test; `schemas/` is
written from here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from ringrift.events import facts
from ringrift.events.facts import Fact

StreamName = Literal["GAMES", "EVENTS"]
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

PROGRESS_KEPT_SECONDS = 7 * 24 * 3600
"""loss curves are looked at for days, and no decision depends on them"""


class EventType(Struct, frozen=True, kw_only=True):
    """One event type.

    `context`, `scope` and `fact` make the subject `ringrift.<context>.<scope>.<fact>`; `scope` is
    the name of the field that holds the token, or the word `all`. `upcasters[v]` turns the data of
    version v into version v + 1."""

    fact_type: type[Fact]
    context: str
    scope: str
    fact: str
    emitters: tuple[str, ...]
    consumers: tuple[str, ...]
    stream: StreamName = "EVENTS"
    version: int = 1
    kept_seconds: int | None = None
    upcasters: dict[int, Upcaster] = {}
    why_no_consumer: str = ""

    @property
    def name(self) -> str:
        """Name without version, such as `GameCompleted`."""
        return self.fact_type.__name__

    @property
    def wire_name(self) -> str:
        """`type` attribute of the envelope, such as `ringrift.GameCompleted.v1`."""
        return f"ringrift.{self.name}.v{self.version}"

    def subject(self, event: Fact) -> str:
        """Subject this event is stored under."""
        token = "all" if self.scope == "all" else getattr(event, self.scope)
        return f"ringrift.{self.context}.{token}.{self.fact}"

    @property
    def subject_filter(self) -> str:
        """Filter that matches the events of this type in every scope."""
        return f"ringrift.{self.context}.*.{self.fact}"


def _listed(*types: EventType) -> dict[str, EventType]:
    return {kind.name: kind for kind in types}


_OPERATOR = ("ringrift",)
_EVERY_CONSUMER = (
    "planner",
    "evaluation",
    "promoter",
    "rater",
    "dispatcher",
    "exporter",
    "selfplay",
    "trainer",
    "evaluator",
    "monitor",
    "feedback",
    "clock",
)
_LEASED = ("planner", "promoter", "monitor", "feedback", "clock")
_WORKERS = ("selfplay", "trainer", "evaluator")
PRESSURE_KEPT_SECONDS = 30 * 24 * 3600
_FOR_PEOPLE = "read by people: `ringrift status`, `ringrift events tail` and the live screen"

REGISTRY: dict[str, EventType] = _listed(
    EventType(
        fact_type=facts.GameCompleted,
        stream="GAMES",
        context="game",
        scope="config",
        fact="completed",
        emitters=("selfplay", "evaluator"),
        consumers=("exporter",),
    ),
    EventType(
        fact_type=facts.GameReanalysed,
        stream="GAMES",
        context="game",
        scope="config",
        fact="reanalysed",
        emitters=("selfplay",),
        consumers=("exporter",),
    ),
    EventType(
        fact_type=facts.SettingsChanged,
        context="settings",
        scope="all",
        fact="changed",
        emitters=_OPERATOR,
        consumers=("planner", "evaluation", "promoter", "monitor", "feedback"),
    ),
    EventType(
        fact_type=facts.PipelinePaused,
        context="pipeline",
        scope="scope",
        fact="paused",
        emitters=_OPERATOR,
        consumers=("planner", "evaluation", "dispatcher", *_WORKERS, "feedback"),
    ),
    EventType(
        fact_type=facts.PipelineResumed,
        context="pipeline",
        scope="scope",
        fact="resumed",
        emitters=_OPERATOR,
        consumers=("planner", "evaluation", "dispatcher", *_WORKERS, "feedback"),
    ),
    EventType(
        fact_type=facts.SelfplayPlanned,
        context="selfplay",
        scope="config",
        fact="planned",
        emitters=("planner",),
        consumers=("dispatcher", "planner", "feedback"),
    ),
    EventType(
        fact_type=facts.SelfplayFinished,
        context="selfplay",
        scope="config",
        fact="finished",
        emitters=("selfplay",),
        consumers=("dispatcher", "planner", "selfplay", "feedback"),
    ),
    EventType(
        fact_type=facts.ShardExported,
        context="shard",
        scope="config",
        fact="exported",
        emitters=("exporter",),
        consumers=("planner", "exporter", "feedback"),
    ),
    EventType(
        fact_type=facts.ShardRecovered,
        context="shard",
        scope="config",
        fact="recovered",
        emitters=("trainer",),
        consumers=(),
        why_no_consumer=_FOR_PEOPLE,
    ),
    EventType(
        fact_type=facts.ShardRetired,
        context="shard",
        scope="config",
        fact="retired",
        emitters=("planner",),
        consumers=("planner", "exporter", "feedback"),
    ),
    EventType(
        fact_type=facts.GamesRetracted,
        context="retraction",
        scope="config",
        fact="retracted",
        emitters=_OPERATOR,
        consumers=("exporter", "rater", "evaluation", "promoter"),
    ),
    EventType(
        fact_type=facts.ModelTainted,
        context="model",
        scope="config",
        fact="tainted",
        emitters=("feedback",),
        consumers=("planner", "evaluation", "feedback"),
    ),
    EventType(
        fact_type=facts.ReanalysisRequested,
        context="reanalysis",
        scope="config",
        fact="requested",
        emitters=_OPERATOR,
        consumers=("dispatcher",),
    ),
    EventType(
        fact_type=facts.ReanalysisFinished,
        context="reanalysis",
        scope="config",
        fact="finished",
        emitters=("selfplay",),
        consumers=("exporter", "dispatcher", "selfplay"),
    ),
    EventType(
        fact_type=facts.HyperparametersAdjusted,
        context="hyperparameters",
        scope="config",
        fact="adjusted",
        emitters=("feedback", *_OPERATOR),
        consumers=("planner", "feedback"),
    ),
    EventType(
        fact_type=facts.TrainingRequested,
        context="training",
        scope="config",
        fact="requested",
        emitters=("planner",),
        consumers=("dispatcher", "planner", "feedback"),
    ),
    EventType(
        fact_type=facts.TrainingStarted,
        context="training",
        scope="config",
        fact="started",
        emitters=("trainer",),
        consumers=("planner", "feedback"),
    ),
    EventType(
        fact_type=facts.TrainingCheckpointed,
        context="training",
        scope="config",
        fact="checkpointed",
        emitters=("trainer",),
        consumers=("planner", "feedback"),
    ),
    EventType(
        fact_type=facts.TrainingProgressed,
        context="training",
        scope="config",
        fact="progressed",
        kept_seconds=PROGRESS_KEPT_SECONDS,
        emitters=("trainer",),
        consumers=(),
        why_no_consumer=_FOR_PEOPLE,
    ),
    EventType(
        fact_type=facts.TrainingFinished,
        context="training",
        scope="config",
        fact="finished",
        emitters=("trainer",),
        consumers=("dispatcher", "planner", "trainer", "feedback"),
    ),
    EventType(
        fact_type=facts.TrainingFailed,
        context="training",
        scope="config",
        fact="failed",
        emitters=("trainer",),
        consumers=("dispatcher", "planner", "feedback"),
    ),
    EventType(
        fact_type=facts.ModelRegistered,
        context="model",
        scope="config",
        fact="registered",
        emitters=("trainer",),
        consumers=("planner", "evaluation", "promoter", "feedback"),
    ),
    EventType(
        fact_type=facts.ModelDerived,
        context="model",
        scope="config",
        fact="derived",
        emitters=_OPERATOR,
        consumers=(),
        why_no_consumer=_FOR_PEOPLE + "; a training starts from it once `training.init` says so",
    ),
    EventType(
        fact_type=facts.FallbackModelUsed,
        context="model",
        scope="config",
        fact="fallback",
        emitters=("selfplay", "trainer"),
        consumers=(),
        why_no_consumer=_FOR_PEOPLE,
    ),
    EventType(
        fact_type=facts.EvaluationRequested,
        context="evaluation",
        scope="config",
        fact="requested",
        emitters=("evaluation", *_OPERATOR),
        consumers=("dispatcher", "evaluation", "feedback"),
    ),
    EventType(
        fact_type=facts.EvaluationScored,
        context="evaluation",
        scope="config",
        fact="scored",
        emitters=("evaluator",),
        consumers=(
            "dispatcher",
            "planner",
            "evaluation",
            "promoter",
            "rater",
            "evaluator",
            "feedback",
        ),
    ),
    EventType(
        fact_type=facts.EvaluationFailed,
        context="evaluation",
        scope="config",
        fact="failed",
        emitters=("evaluator",),
        consumers=("dispatcher", "evaluation", "promoter", "feedback"),
    ),
    EventType(
        fact_type=facts.RatingsUpdated,
        context="rating",
        scope="config",
        fact="updated",
        emitters=("rater",),
        consumers=("feedback",),
    ),
    EventType(
        fact_type=facts.ModelPromoted,
        context="promotion",
        scope="config",
        fact="promoted",
        emitters=("promoter",),
        consumers=("planner", "evaluation", "promoter", "feedback", "monitor"),
    ),
    EventType(
        fact_type=facts.PromotionRejected,
        context="promotion",
        scope="config",
        fact="rejected",
        emitters=("promoter",),
        consumers=("planner", "evaluation", "promoter", "feedback"),
    ),
    EventType(
        fact_type=facts.TickRecorded,
        context="clock",
        scope="all",
        fact="ticked",
        emitters=("clock",),
        consumers=("evaluation", "dispatcher", "planner", "feedback"),
    ),
    EventType(
        fact_type=facts.LossAnomalyDetected,
        context="loss",
        scope="config",
        fact="anomalous",
        emitters=("feedback",),
        consumers=("feedback",),
    ),
    EventType(
        fact_type=facts.PlateauDetected,
        context="loss",
        scope="config",
        fact="stuck",
        emitters=("feedback",),
        consumers=("feedback",),
    ),
    EventType(
        fact_type=facts.PlateauCleared,
        context="loss",
        scope="config",
        fact="falling",
        emitters=("feedback",),
        consumers=(),
        why_no_consumer=_FOR_PEOPLE,
    ),
    EventType(
        fact_type=facts.QualityAssessed,
        context="quality",
        scope="config",
        fact="assessed",
        emitters=("feedback",),
        consumers=("planner", "feedback", "monitor"),
    ),
    EventType(
        fact_type=facts.QualityDegraded,
        context="quality",
        scope="config",
        fact="degraded",
        emitters=("feedback",),
        consumers=("planner", "feedback"),
    ),
    EventType(
        fact_type=facts.QualityRecovered,
        context="quality",
        scope="config",
        fact="recovered",
        emitters=("feedback",),
        consumers=("planner", "feedback"),
    ),
    EventType(
        fact_type=facts.ExplorationAdjusted,
        context="exploration",
        scope="config",
        fact="adjusted",
        emitters=("feedback",),
        consumers=("planner",),
    ),
    EventType(
        fact_type=facts.VelocityChanged,
        context="velocity",
        scope="config",
        fact="changed",
        emitters=("feedback",),
        consumers=("feedback", "planner", "monitor"),
    ),
    EventType(
        fact_type=facts.ProgressStalled,
        context="velocity",
        scope="config",
        fact="stalled",
        emitters=("feedback",),
        consumers=("feedback",),
    ),
    EventType(
        fact_type=facts.ProgressRecovered,
        context="velocity",
        scope="config",
        fact="recovered",
        emitters=("feedback",),
        consumers=("feedback",),
    ),
    EventType(
        fact_type=facts.RegressionDetected,
        context="regression",
        scope="config",
        fact="detected",
        emitters=("feedback",),
        consumers=("feedback", "promoter"),
    ),
    EventType(
        fact_type=facts.RegressionCleared,
        context="regression",
        scope="config",
        fact="cleared",
        emitters=("feedback",),
        consumers=(),
        why_no_consumer=_FOR_PEOPLE,
    ),
    EventType(
        fact_type=facts.ModelRolledBack,
        context="promotion",
        scope="config",
        fact="rolled-back",
        emitters=("promoter",),
        consumers=("planner", "evaluation", "promoter", "feedback"),
    ),
    EventType(
        fact_type=facts.CurriculumReweighted,
        context="curriculum",
        scope="all",
        fact="reweighted",
        emitters=("feedback",),
        consumers=("feedback",),
    ),
    EventType(
        fact_type=facts.AllocationDecided,
        context="allocation",
        scope="all",
        fact="decided",
        emitters=("feedback",),
        consumers=("planner", "feedback"),
    ),
    EventType(
        fact_type=facts.ArchitectureSharesDecided,
        context="architecture",
        scope="config",
        fact="weighed",
        emitters=("feedback",),
        consumers=("planner",),
    ),
    EventType(
        fact_type=facts.TrainingBlocked,
        context="training",
        scope="config",
        fact="blocked",
        emitters=("planner",),
        consumers=("planner", "feedback"),
    ),
    EventType(
        fact_type=facts.TrainingTimedOut,
        context="training",
        scope="config",
        fact="killed",
        emitters=("planner",),
        consumers=("planner", "trainer", "dispatcher", "feedback"),
    ),
    EventType(
        fact_type=facts.EvaluationBackpressureEngaged,
        context="evaluation",
        scope="all",
        fact="engaged",
        emitters=("evaluation",),
        consumers=("planner",),
    ),
    EventType(
        fact_type=facts.EvaluationBackpressureReleased,
        context="evaluation",
        scope="all",
        fact="released",
        emitters=("evaluation",),
        consumers=("planner",),
    ),
    EventType(
        fact_type=facts.LeaseAcquired,
        context="lease",
        scope="role",
        fact="acquired",
        emitters=_LEASED,
        consumers=_LEASED,
    ),
    EventType(
        fact_type=facts.ConsumerStarted,
        context="consumer",
        scope="node",
        fact="started",
        emitters=_EVERY_CONSUMER,
        consumers=("monitor",),
    ),
    EventType(
        fact_type=facts.LostEventsRepublished,
        context="consumer",
        scope="node",
        fact="mended",
        emitters=_EVERY_CONSUMER,
        consumers=(),
        why_no_consumer=_FOR_PEOPLE,
    ),
    EventType(
        fact_type=facts.StreamRecreated,
        context="stream",
        scope="all",
        fact="remade",
        emitters=("dispatcher",),
        consumers=("dispatcher",),
    ),
    EventType(
        fact_type=facts.ConsumerStopped,
        context="consumer",
        scope="node",
        fact="stopped",
        emitters=_EVERY_CONSUMER,
        consumers=("monitor",),
    ),
    EventType(
        fact_type=facts.DeadLetterStored,
        context="dead",
        scope="consumer",
        fact="lettered",
        emitters=_EVERY_CONSUMER,
        consumers=("monitor",),
    ),
    EventType(
        fact_type=facts.DeadLetterRetryRequested,
        context="dead",
        scope="consumer",
        fact="retry-requested",
        emitters=("monitor",),
        consumers=("monitor",),
    ),
    EventType(
        fact_type=facts.DeadLetterRetried,
        context="dead",
        scope="consumer",
        fact="retried",
        emitters=("monitor", "ringrift"),
        consumers=("monitor",),
    ),
    EventType(
        fact_type=facts.DeadLetterResolved,
        context="dead",
        scope="consumer",
        fact="resolved",
        emitters=("monitor", "ringrift"),
        consumers=("monitor",),
    ),
    EventType(
        fact_type=facts.DeadLetterEscalated,
        context="dead",
        scope="consumer",
        fact="escalated",
        emitters=("monitor",),
        consumers=(),
        why_no_consumer=_FOR_PEOPLE + ", `ringrift dlq list`",
    ),
    EventType(
        fact_type=facts.NodePresenceChanged,
        context="node",
        scope="node",
        fact="presence",
        emitters=("monitor",),
        consumers=("monitor",),
    ),
    EventType(
        fact_type=facts.NodeJoined,
        context="node",
        scope="node",
        fact="joined",
        emitters=("monitor",),
        consumers=("feedback", "monitor"),
    ),
    EventType(
        fact_type=facts.NodeSuspected,
        context="node",
        scope="node",
        fact="suspected",
        emitters=("monitor",),
        consumers=("feedback",),
    ),
    EventType(
        fact_type=facts.NodeDegraded,
        context="node",
        scope="node",
        fact="degraded",
        emitters=("monitor",),
        consumers=(),
        why_no_consumer=_FOR_PEOPLE,
    ),
    EventType(
        fact_type=facts.NodeLost,
        context="node",
        scope="node",
        fact="lost",
        emitters=("monitor",),
        consumers=(),
        why_no_consumer=_FOR_PEOPLE,
    ),
    EventType(
        fact_type=facts.NodeRegistered,
        context="fleet",
        scope="node",
        fact="registered",
        emitters=_OPERATOR,
        consumers=("feedback",),
    ),
    EventType(
        fact_type=facts.NodeAssigned,
        context="fleet",
        scope="node",
        fact="assigned",
        emitters=("feedback",),
        consumers=("feedback", "planner", "evaluation", *_WORKERS),
    ),
    EventType(
        fact_type=facts.WorkEscalated,
        context="ageing",
        scope="config",
        fact="aged",
        emitters=("feedback",),
        consumers=("dispatcher",),
    ),
    EventType(
        fact_type=facts.DeadlockBroken,
        context="deadlock",
        scope="config",
        fact="broken",
        emitters=("feedback",),
        consumers=("planner", "feedback"),
    ),
    EventType(
        fact_type=facts.NodePressureChanged,
        context="node",
        scope="node",
        fact="pressure",
        kept_seconds=PRESSURE_KEPT_SECONDS,
        emitters=_EVERY_CONSUMER,
        consumers=_EVERY_CONSUMER,
    ),
    EventType(
        fact_type=facts.BreakerOpened,
        context="breaker",
        scope="target",
        fact="opened",
        emitters=_WORKERS,
        consumers=(),
        why_no_consumer=_FOR_PEOPLE + "; workers follow the bucket `breakers`",
    ),
    EventType(
        fact_type=facts.BreakerReset,
        context="breaker",
        scope="target",
        fact="reset",
        emitters=(*_WORKERS, "ringrift"),
        consumers=("monitor",),
    ),
    EventType(
        fact_type=facts.QuorumLevelChanged,
        context="quorum",
        scope="all",
        fact="level",
        emitters=("monitor",),
        consumers=("monitor",),
    ),
)

_OF_CLASS: dict[type[Fact], EventType] = {kind.fact_type: kind for kind in REGISTRY.values()}


def type_of(event: Fact | type[Fact]) -> EventType:
    """Registry entry of an event or its class. Raises KeyError for a class that is not
    registered."""
    return _OF_CLASS[event if isinstance(event, type) else type(event)]
