"""Settings of the fleet: how self-play is divided, which node does what, and operation."""

from typing import Annotated

from msgspec import Meta, Struct

from ringrift.events.settings import kinds


class SchedulingWeights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weight of each term of a config's priority; normalised, because these (requirements G14.02 to
    G14.07) sum to 0.75."""

    staleness: kinds.PositiveFloat = 0.15
    """of the time since the last shard (requirement G14.02)"""
    velocity: kinds.PositiveFloat = 0.10
    """of how fast its strength grows by its own history (requirement G14.03)"""
    curriculum: kinds.PositiveFloat = 0.20
    """of the weight that the curriculum gives (requirement G14.04)"""
    quality: kinds.PositiveFloat = 0.15
    """of the quality of the data (requirement G14.05)"""
    diversity: kinds.PositiveFloat = 0.10
    """of how few opponents its newest games had (requirement G14.06)"""
    value_of_information: kinds.PositiveFloat = 0.05
    """of how uncertain its rating is (requirement G14.07)"""
    efficiency: kinds.PositiveFloat = 0.10
    """of the Elo that it gains for its cost, compared with the other configs; as much as velocity,
    which compares it with itself"""


class WorkMemory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Memory of a GPU, in GiB, without which a node does no work of a kind. A node that states none
    works on its cores."""

    training: kinds.NonNegativeFloat = 4.0
    """an estimate: a network with its gradients, optimizer and batches"""
    evaluation: kinds.NonNegativeFloat = 2.0
    """an estimate: two networks and their batches"""
    selfplay: kinds.NonNegativeFloat = 2.0
    """an estimate: as evaluation"""


class SchedulingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How self-play is divided among configs, and work among nodes."""

    weights: SchedulingWeights = SchedulingWeights()
    stale_hours: kinds.Hours = 4.0
    """time without a shard after which a config is fully stale; the age at which tickets escalate
    (requirement G14.16)"""
    ultra_games: kinds.Positive = 20
    """games below which the priority of a config is multiplied by `ultra_factor` (requirement
    G14.09, which leaves the tiers open)"""
    ultra_factor: kinds.PositiveFloat = 200.0
    """factor on the priority of a config with fewer than `ultra_games`"""
    emergency_games: kinds.Positive = 100
    """games below which the factor is `emergency_factor`: the first budget tier (requirement
    G14.12)"""
    emergency_factor: kinds.PositiveFloat = 50.0
    """factor on the priority of a config with fewer than `emergency_games`"""
    critical_games: kinds.Positive = 500
    """games below which the factor is `critical_factor`: the second budget tier, and the number at
    which quality is judged with full confidence"""
    critical_factor: kinds.PositiveFloat = 20.0
    """factor on the priority of a config with fewer than `critical_games`"""
    few_games: kinds.Positive = 5_000
    """games below which a network need not beat the heuristic yet, so that its config gets
    `few_factor` of its share (requirement G08.26)"""
    few_factor: Annotated[float, Meta(ge=1.0, le=100.0)] = 1.5
    """factor on the priority of a config with fewer than `few_games`"""
    starved_max: Annotated[float, Meta(ge=0.01, le=0.9)] = 0.5
    """largest part of self-play to which these factors raise the starved configs together: with two
    of twelve configs starved, the others stood at their floors whatever their terms"""
    priorities: tuple[kinds.Priority, ...] = ()
    """factor on the priority of a config, such as `hex8_2p=2`: quotas only lower shares
    (requirement G14.11)"""
    failures_max: kinds.Positive = 6
    """failed trainings in a row after which self-play of a config is suspended: two rounds of
    attempts (requirement G17.10)"""
    retry_hours: kinds.Hours = 1.0
    """time after which a suspended config trains once more; twice as long after each failure"""
    retry_hours_max: kinds.Hours = 24.0
    """longest such time"""
    floor: kinds.Fraction = 0.25
    """least share of self-play of a config, as a part of an equal share (requirement G14.10)"""
    cap: kinds.Fraction = 0.4
    """largest share of self-play of a config, or twice an equal share if that is more"""
    change_min: kinds.Fraction = 0.02
    """relative change of a share that is decided again; less is a few games of a generation"""
    quotas: tuple[kinds.Quota, ...] = ()
    """largest share of self-play of a board or config, such as `square8=0.3` (requirement G14.15);
    floors take precedence"""
    cost_aware: bool = True
    """registered nodes with expensive games stand by, and trainings run where they are cheap
    (requirement G14.18)"""
    cost_ratio_max: kinds.PositiveFloat = 1.4
    """cost of a game on a node, relative to the fleet, above which it stands by. In
    `ops/fleet.toml` the costs are 0.2 to 0.7, 1.0, and 1.5 or more: the threshold is in the gap"""
    vram_gib: WorkMemory = WorkMemory()
    configs_per_trainer: kinds.Positive = 4
    """one registered node per this many configs trains with priority"""
    preempt_seconds: kinds.PositiveFloat = 900.0
    """a training that waits for this long takes a node from self-play (requirement G14.17)"""
    release_seconds: kinds.PositiveFloat = 3600.0
    """time without another overdue training after which such a node returns to self-play. With
    nodes that never return, the simulated fleet saved 10 instead of 25 % (`ringrift simulate
    --hours 48 --seed 1`)"""
    trainer_slowness_max: kinds.PositiveFloat = 1.25
    """a node trains only if a game takes it at most this factor of the fleet's time: everything
    waits for a training, however cheap"""
    evaluator_slowness_max: kinds.PositiveFloat = 2.5
    """a node evaluates only if a game takes it at most this factor of the fleet's time, unless no
    other may do it: one ticket decides, while self-play has many. In `ops/fleet.toml` the values
    are 0.6 to 1.6, and 2.9 or more"""
    ticket_seconds: kinds.PositiveFloat = 1200.0
    """intended duration of a ticket on a registered node, by measured speeds; more saves nothing"""
    ticket_seconds_ephemeral: kinds.PositiveFloat = 300.0
    """intended duration of a ticket while ephemeral nodes play: one loss every few hours then
    repeats a percent or two of their work"""
    ageing_seconds: kinds.PositiveFloat = 14_400.0
    """tickets that wait for 4 h move to the front (requirement G14.16)"""
    deadlock_seconds: kinds.PositiveFloat = 900.0
    """time without pending work after which a deadlock is broken"""

    def __post_init__(self) -> None:
        kinds.rising(self, "ultra_games", "emergency_games", "critical_games")
        kinds.rising(self, "critical_factor", "emergency_factor", "ultra_factor")
        kinds.rising(self, "floor", "cap")
        kinds.rising(self, "retry_hours", "retry_hours_max")
        kinds.distinct(self, "quotas")
        kinds.distinct(self, "priorities")


class OperationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds of faults, and the response to them."""

    coordinators: tuple[kinds.NodeName, ...] = ()
    """nodes that should act where one of several does, best first: a node waits a second for each
    before it, and all others for as many as there are, before it takes a free lease. Who holds one
    keeps it (requirement G19.12)"""
    node_suspected_seconds: kinds.PositiveFloat = 300.0
    """silence after which a node is suspected (requirement G16.13: 5 minutes)"""
    node_degraded_seconds: kinds.PositiveFloat = 600.0
    """silence after which a node is degraded (requirement G16.13: 10 minutes)"""
    node_lost_seconds: kinds.PositiveFloat = 1800.0
    """silence after which a node is lost (requirement G16.13: 30 minutes)"""
    pressure: kinds.Tiers = kinds.Tiers(
        caution=0.60, warning=0.70, critical=0.80, emergency=0.90, hysteresis=0.05
    )
    """share of memory or file descriptors in use (requirement G18.01)"""
    disk: kinds.Tiers = kinds.Tiers(
        caution=0.80, warning=0.95, critical=0.97, emergency=0.99, hysteresis=0.01
    )
    """share of the disk in use; most disks are three quarters full, so work stops later"""
    breaker_failures_min: kinds.Positive = 10
    """failures in a row that open a breaker while no other is open (requirement G17.14)"""
    breaker_failures_max: kinds.Positive = 20
    """the same while all of its kind are open"""
    breaker_waits: Annotated[tuple[kinds.PositiveFloat, ...], Meta(min_length=1, max_length=8)] = (
        *(10.0, 60.0, 300.0, 1800.0),
    )
    """time until an open breaker is probed, then after each failed probe: four tiers (requirements
    G17.13, G17.17: first within 5 to 15 s)"""
    breaker_hours: Annotated[float, Meta(ge=1 / kinds.HUGE, le=6.0)] = 6.0
    """time after which an open breaker that was not renewed is forgotten (requirement G17.15); the
    bucket keeps none for longer than 6 h"""
    ticket_waits: Annotated[tuple[kinds.PositiveFloat, ...], Meta(max_length=8)] = (
        *(60.0, 120.0, 240.0),
    )
    """time until a failed ticket is tried again; after the last one it has failed for good
    (requirement G09.03)"""
    dead_letter_retries: Annotated[int, Meta(ge=0, le=8)] = 4
    """automatic retries of a dead letter"""
    dead_letter_retry_seconds: kinds.PositiveFloat = 300.0
    """delay of the first automatic retry of a dead letter; each later delay is four times as long,
    the last 5 h"""
    dead_letters_max: kinds.Positive = 50
    """unresolved dead letters that raise an alarm (requirement G15.06)"""
    fetch_tries: kinds.Positive = 5
    """attempts of a worker to fetch a network before it uses an earlier one (requirement G06.37)"""
    fetch_seconds_max: kinds.PositiveFloat = 2700.0
    """time that a worker spends on fetching a network before it uses an earlier one (requirement
    G06.37)"""

    def __post_init__(self) -> None:
        kinds.distinct(self, "coordinators")
        kinds.rising(self, "node_suspected_seconds", "node_degraded_seconds", "node_lost_seconds")
        kinds.rising(self, "breaker_failures_min", "breaker_failures_max")


class AlertSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a condition becomes an alert, and where alerts are sent."""

    webhook: kinds.WebhookUrl = ""
    """receives alerts as JSON, by POST; empty: none are sent. Settings are facts that everybody
    reads, so a secret has no place here: the environment of the alerter holds it as
    `RINGRIFT_ALERTS_TOKEN`. It replaces `{token}` in the URL; without that, it is sent as a bearer
    token"""
    after_seconds: kinds.NonNegativeFloat = 60.0
    """time after which a failure or an observation is an alert: most restarts are shorter"""
    used_min: kinds.Fraction = 0.8
    """share of the cores that must not wait for a ticket while something is to be learned; less,
    for about ten minutes, is an alert (requirement G14.21: 80 to 85 %)"""
    setback_seconds: kinds.NonNegativeFloat = 21_600.0
    """time after which a setback, which the loop answers itself, is an alert; 6 h are a few
    generations"""
