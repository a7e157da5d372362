"""The table of processes: the name, role, port and deciders of each, and the facts that it writes
and reads.

Permissions, the plan of a node, health ports, the simulator, `verify`, and tables of `schemas/` and
`docs/` are derived from it. To add a process, add a row here and `ringrift.consumers.<name>`."""

import importlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct

from ringrift.deciders.fleet.order import READS as TICKET_ORDER
from ringrift.deciders.fleet.troubles import RULES_OF
from ringrift.deciders.kit import STEERING, Decider
from ringrift.events import REGISTRY, Fact, facts as f
from ringrift.log import topology

Role = Literal[
    "worker", "trainer", "evaluator", "coordinator", "auditor", "archiver", "renter", "oncall"
]
Facts = tuple[type[Fact], ...]
_MODELS, _SHARDS = f"OBJ_{topology.MODEL_BUCKET}", f"OBJ_{topology.SHARD_BUCKET}"
_FOLDS, _CHECKPOINTS = f"OBJ_{topology.FOLD_BUCKET}", f"OBJ_{topology.CHECKPOINT_BUCKET}"
_BREAKERS, _HEARTBEATS = f"KV_{topology.BREAKER_BUCKET}", f"KV_{topology.NODE_BUCKET}"

ROLES: tuple[Role, ...] = (
    *("worker", "trainer", "evaluator", "coordinator"),
    *("auditor", "archiver", "renter"),
)
MIB = 1024**2
MONITOR_PORT = 8790  # of the process that knows the cluster (requirement G17.05)

# facts that several rows below write or read together
_GAMES: Facts = (f.GameCompleted, f.GameReanalysed)
_REVISED: Facts = (*_GAMES, f.GamesRetracted, f.ReanalysisFinished)
_MATCHED: Facts = (f.EvaluationScored, f.EvaluationFailed, f.EvaluationAbandoned)
_INCUMBENTS: Facts = (f.ModelPromoted, f.ModelRolledBack)
_PRESENCE: Facts = (f.NodePresenceChanged, f.VoterPresenceChanged, f.ConsumerPresenceChanged)
_OBSERVED: Facts = (*_PRESENCE, f.QuorumLevelChanged, f.CrashLoopChanged, f.NodeDescribed)
_NODES: Facts = (f.NodeRegistered, f.NodeUnregistered, f.NodeForgotten, f.NodeDrainRequested)
_MOVED: Facts = (f.NodeReserved, f.ReservationEnded, f.NodeReleased, f.RoleMoveRequested)
_FLEET: Facts = (*_NODES, *_MOVED, f.BreakerReset)
_HOOKED: Facts = (
    *(f.NodeRented, f.NodeRentFailed, f.NodeReturned, f.NodeReturnFailed),
    *(f.OrphanFound, f.RecoveryActionTaken),
)
_REPLICAS: Facts = (f.ReplicaDamaged, f.ReplicaRepaired, f.VoterDiskChanged)
_BREAKERS_USED: Facts = (f.BreakerOpened, f.BreakerEscalated, f.BreakerReset)
_LIVES: Facts = (f.ConsumerStarted, f.ConsumerStopped)
_RETRIED: Facts = (f.DeadLetterRetryFailed, f.DeadLetterResolved)
_LETTERS: Facts = (f.DeadLetterStored, f.DeadLetterRetryRequested, *_RETRIED)
_OUTBOX: Facts = (
    *(f.AlertRaised, f.AlertCleared, f.AlertDelivered, f.AlertDeliveryFailed),
    *(f.DeadLetterEscalated, f.DeadLetterResolved),
)
_ALERTING: Facts = (f.ShardExported, f.VelocityChanged, f.PromotionRejected, f.UtilisationSampled)
_TRAINED: Facts = (f.TrainingFinished, f.TrainingFailed)
_TRAINING: Facts = (f.TrainingStarted, f.TrainingCheckpointed, f.TrainingProgressed, *_TRAINED)
_ARCHIVE: Facts = (
    *(f.SegmentArchived, f.StreamTrimmed, f.ModelArchived),
    *(f.ArchiveFailed, f.ArchiveRecovered, f.BackupFinished, f.BackupFailed),
)
_JUDGED: Facts = (
    *(f.ModelRegistered, f.EvaluationScored, f.EvaluationFailed, f.RegressionDetected),
    *(f.GamesRetracted, f.PromotionRejected, f.EvaluatorContradicted),
    *_INCUMBENTS,
)
_RECOUNTED: Facts = (f.EvaluationRecounted, f.EvaluationRefuted, f.EquivocationProven)
_TESTIMONY: Facts = (f.TreeHeadRecorded, f.PromotionAttested, f.PromotionDisputed)
_ASKED: Facts = (f.SelfplayPlanned, f.EvaluationRequested, f.FallbackModelUsed)
_AUDITED: Facts = (f.TreeHeadRecorded, f.AuditFinished)
_PARITY: Facts = (f.ParityConfirmed, f.ParityRejected)
_NAMES: Facts = (f.ConsumerStarted, f.ModelRegistered, f.ModelDerived, f.ImportStarted)
_CERTIFIED: Facts = (*_INCUMBENTS, f.PromotionAttested)
_KEPT: Facts = (f.ModelRetired, f.ModelKept)
_FENCES: Facts = (f.TrainingRequested, f.TrainingTimedOut)

WRITTEN_BY_ALL: Facts = (
    *(f.BlobFetched, f.DeadLetterStored, f.DeadLettersOmitted, f.LostEventsRepublished),
    *(f.MessageIdTaken, f.NodePressureChanged, f.PreemptionNoticed, f.ProcessRestarted),
    *_LIVES,
)
ABOUT_ITSELF: Facts = (*WRITTEN_BY_ALL, f.ErrorReported, f.TreeHeadRecorded, f.AuditFinished)
"""Facts whose node, if they name one, is that of the process that writes them."""
KEYS: Facts = (f.NodeAdmitted, f.NodeRevoked, f.RoleRightsDefined, f.SignaturesRequired)
"""Facts by which every reader knows whose facts count."""
READ_BY_ALL: Facts = (
    *(*KEYS, *STEERING),
    *(f.NodeAssigned, f.NodeQuarantined, f.NodeReleased, f.NodePressureChanged),
    *(f.NodeDrainRequested, f.PreemptionNoticed, f.VoterDiskChanged, f.RoleMoveRequested),
)
COMMANDS = "ringrift"  # name of the command line among writers
WRITTEN_BY_COMMANDS: Facts = (
    *(f.GamesRetracted, f.ReanalysisRequested, f.HyperparametersAdjusted, f.EvaluationRequested),
    *(f.ModelKept, f.ModelDerived, f.ModelRegistered, f.ClusterFounded, f.UpdateJudged),
    *(f.ImportStarted, f.GamesImported, f.MatchesImported, f.MatchesRetracted, f.GameCompleted),
    *(*STEERING, *_INCUMBENTS, *_RETRIED, *KEYS, *_FLEET),
    *(f.ExperimentStarted, f.ExperimentEnded),
)


class ProcessSpec(Struct, frozen=True, dict=True):
    """One kind of process, `ringrift.consumers.<name>`.

    - `port`: of its health endpoints
    - `memory`: bytes that one process needs
    - `work`: the kind of tickets it takes
    - `per_core`: without a GPU, one process per core runs
    - `nice`: its scheduling priority: training comes first, then matches, then games
    - `leased`: only the holder of the lease of this name acts; the others are hot standbys
    - `decides`: modules of `ringrift.deciders` that it runs, in this order
    - `own_writes`, `own_reads`: facts besides those of its deciders and of all processes
    - `own_stores`, `own_purges`: streams behind the buckets and the queue that it writes, and those
      that it may empty, besides what follows from the fields above
    - `own_trims`: streams from which it may purge what it has archived, though it writes nothing
      else there
    - `snapshots`: it may read whole streams as backups do
    - `recreates`: it may delete and create streams whose content follows from facts
    """

    name: str
    port: int
    role: Role = "coordinator"
    memory: int = 96 * MIB
    work: f.WorkKind | None = None
    per_core: bool = False
    nice: int = 0
    leased: bool = False
    decides: tuple[str, ...] = ()
    own_writes: Facts = ()
    own_reads: Facts = ()
    own_stores: tuple[str, ...] = ()
    own_purges: tuple[str, ...] = ()
    own_trims: tuple[str, ...] = ()
    snapshots: bool = False
    recreates: bool = False

    @cached_property
    def deciders(self) -> tuple[Decider[Any], ...]:
        """Its deciders, imported on first use: `ringrift status` needs the table without them."""
        return tuple(
            importlib.import_module(f"ringrift.deciders.{module}").DECIDER
            for module in self.decides
        )

    @property
    def writes(self) -> set[type[Fact]]:
        """Every fact it writes."""
        found = {*WRITTEN_BY_ALL, *self.own_writes, *((f.LeaseAcquired,) if self.leased else ())}
        if self.decides:
            found.add(f.FactSkipped)
        if self.work:
            found |= {*_BREAKERS_USED, f.ErrorReported}
        return found.union(*(decider.writes for decider in self.deciders))

    @property
    def about_itself(self) -> set[type[Fact]]:
        """Those about itself; a person is no node."""
        return self.writes & {*ABOUT_ITSELF} if self.port else set()

    @property
    def reads(self) -> set[type[Fact]]:
        """Every fact it reads, except by deciders that read all of `EVENTS` for the time."""
        found = {*READ_BY_ALL, *self.own_reads, *((f.LeaseAcquired,) if self.leased else ())}
        deciders = (each for each in self.deciders if not reads_every_event(each))
        return found.union(*(decider.reads for decider in deciders))

    @property
    def stores(self) -> set[str]:
        """Names of the streams behind the buckets and the queue it writes."""
        found = {*self.own_stores, *self.purges, *((_HEARTBEATS,) if self.port else ())}
        found |= {f"KV_{topology.LEASE_BUCKET}"} if self.leased else set()
        return found | {_BREAKERS} if f.BreakerOpened in self.writes else found

    @property
    def purges(self) -> set[str]:
        """Names of the streams it may empty; processes with deciders prune their snapshots."""
        return {*self.own_purges, _FOLDS} if self.decides else {*self.own_purges}


# memory as measured on hex8_2p without a GPU (selfplay 480, evaluator 520, trainer 640, exporter
# 190, deciders 36 to 48 MB), with room for larger boards
_PLANS = ["selfplay", "training", "evaluation", "retention", "adoption", "retirement"]
_SPECS = (
    ProcessSpec("planner", 8791, leased=True, decides=tuple(f"loop.{name}" for name in _PLANS)),
    ProcessSpec("promoter", 8792, leased=True, decides=("loop.promotion",)),
    ProcessSpec("rater", 8793, decides=("loop.rating",)),
    ProcessSpec(
        "dispatcher",
        8794,
        own_writes=(f.StreamRecreated,),
        own_reads=(*TICKET_ORDER, f.StreamRecreated),
        own_purges=(topology.WORK,),
        recreates=True,
    ),
    ProcessSpec(
        "exporter",
        8795,
        memory=384 * MIB,
        own_writes=(f.ShardExported,),
        own_reads=(*_REVISED, f.ShardExported, f.ShardRetired, *_NAMES, *_PARITY, *_KEPT),
        own_purges=(_SHARDS,),
        own_trims=(_MODELS,),
    ),
    ProcessSpec(
        "feedback",
        8796,
        leased=True,
        decides=(
            "feedback.loss",
            "feedback.quality",
            "feedback.velocity",
            "feedback.regression",
            "feedback.exploration",
            "feedback.curriculum",
            "feedback.scheduling",
            "feedback.architectures",
            "fleet.assignment",
            "fleet.ageing",
            "fleet.audits",
            "feedback.deadlock",
            "loop.retraction",
            "feedback.tuning",
            "feedback.suspension",
            "feedback.experiments",
            "fleet.costs",
        ),
        own_writes=(f.GamesRetracted,),
        own_reads=(f.GamesRetracted, f.ParityRejected),
    ),
    ProcessSpec("clock", 8797, leased=True, own_writes=(f.TickRecorded,)),
    ProcessSpec(
        "verifier",
        8801,
        memory=384 * MIB,
        leased=True,
        own_writes=(f.VerificationPassed, f.VerificationFailed, *_TESTIMONY, *_RECOUNTED),
        own_reads=(*_GAMES, f.ModelArchived, *_TESTIMONY, *_JUDGED, *_RECOUNTED),
        own_stores=(f"KV_{topology.MARK_BUCKET}",),
    ),
    ProcessSpec(
        "monitor",
        MONITOR_PORT,
        leased=True,
        decides=("fleet.nodes", "fleet.dead_letters"),
        own_writes=(*_OBSERVED, f.UtilisationSampled, *_RETRIED, *_REPLICAS),
        own_reads=(*_OBSERVED, *_LIVES, *_LETTERS, f.BreakerReset, *_REPLICAS),
        own_stores=(_BREAKERS, topology.WORK),
    ),
    ProcessSpec(
        "alerter",
        8802,
        leased=True,
        decides=("fleet.alerts",),
        own_writes=(f.AlertDelivered, f.AlertDeliveryFailed, *_BREAKERS_USED),
        own_reads=(*RULES_OF, *_ALERTING, *_OUTBOX),
    ),
    ProcessSpec(
        "archiver",
        8803,
        "archiver",
        memory=512 * MIB,
        leased=True,
        own_writes=_ARCHIVE,
        own_reads=(*_ARCHIVE, f.ModelKept, f.ModelRegistered, f.ModelDerived, *_INCUMBENTS),
        own_trims=(topology.GAMES, topology.EVENTS, _MODELS),
        snapshots=True,
    ),
    ProcessSpec(
        "auditor",
        8804,
        "auditor",
        memory=512 * MIB,
        own_writes=(f.AuditFinished, *_PARITY),
        own_reads=(*_GAMES, *_ASKED, *_PARITY, f.ReanalysisRequested, *_AUDITED),
    ),
    ProcessSpec(
        "renter",
        8805,
        "renter",
        leased=True,
        decides=("fleet.renting", "fleet.recovery"),
        own_writes=(*_HOOKED, *_BREAKERS_USED),
        own_reads=(*_HOOKED, f.NodeRentRequested, f.NodeReturnRequested, f.RecoveryActionRequested),
        own_stores=(_BREAKERS,),
    ),
    ProcessSpec(
        "selfplay",
        8798,
        "worker",
        memory=768 * MIB,
        work="selfplay",
        per_core=True,
        nice=10,
        own_writes=(*_GAMES, f.SelfplayFinished, f.ReanalysisFinished, f.FallbackModelUsed),
        own_reads=(*_REVISED, f.SelfplayFinished, *_CERTIFIED),
    ),
    ProcessSpec(
        "trainer",
        8799,
        "trainer",
        memory=1536 * MIB,
        work="training",
        own_writes=(*_TRAINING, f.ModelRegistered, f.ShardRecovered, f.FallbackModelUsed),
        own_reads=(*_GAMES, f.GamesRetracted, f.ShardExported, *_FENCES, *_TRAINED, *_CERTIFIED),
        own_stores=(_MODELS, _SHARDS),
        own_purges=(_CHECKPOINTS,),
    ),
    ProcessSpec(
        "evaluator",
        8800,
        "evaluator",
        memory=768 * MIB,
        work="evaluation",
        per_core=True,
        nice=5,
        own_writes=(f.GameCompleted, f.EvaluationStarted, *_MATCHED),
        own_reads=(f.GameCompleted, f.EvaluationScored, f.PromotionRejected, *_INCUMBENTS),
    ),
)
PROCESSES: dict[str, ProcessSpec] = {spec.name: spec for spec in _SPECS}
_BY_ONCALL: Facts = (
    *(*STEERING, *_RETRIED, *_FLEET),
    *(f.EvaluationRequested, f.ReanalysisRequested, f.HyperparametersAdjusted),
)
PEOPLE = ProcessSpec(
    COMMANDS, 0, "oncall", own_writes=_BY_ONCALL, own_stores=(_BREAKERS, topology.WORK)
)
"""what a person on call writes by commands: nothing that decides about networks or games"""
AUTHORS = (*PROCESSES.values(), PEOPLE)
"""rows whose roles are users of a cluster"""
EXPECTED = tuple(name for name in PROCESSES if name not in ("archiver", "auditor", "renter"))
"""processes that every cluster runs; an archive and scheduled backups are optional, and so are
audits, which need a second node, and renting, which needs a hook"""
LEASED = tuple(name for name in EXPECTED if PROCESSES[name].leased)
"""processes of which one at a time acts, under a lease of the same name"""


def of_roles(roles: Iterable[str]) -> list[ProcessSpec]:
    """The processes of these roles, in the order of the roles and of the table."""
    return [spec for role in roles for spec in PROCESSES.values() if spec.role == role]


def reads_every_event(decider: Decider[Any]) -> bool:
    """Whether a decider reads all of `EVENTS`, as those do that only need the passing of time."""
    every = {kind.fact_type for kind in REGISTRY.values() if kind.stream == "EVENTS"}
    return every <= {*decider.reads, *decider.writes}
