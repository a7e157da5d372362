"""Settings: one typed struct, defaults in one place, each number with its reason.

Where else a value may come from: `ringrift.events.settings_sources`. The settings in force are a
fact (`SettingsChanged`) and every decision cites their version."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import Meta, Struct

Positive = Annotated[int, Meta(ge=1)]
NonNegative = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
NonNegativeFloat = Annotated[float, Meta(ge=0.0)]
ModelOfConfig = Annotated[
    str, Meta(pattern="^(square8|square19|hex8|hexagonal)_[234]p=[0-9a-f]{64}$")
]
"""A config and the digest of a network for it."""
Cascade = Annotated[str, Meta(pattern="^[a-z0-9-]+>[a-z0-9-]+$")]
"""`a>b`: from architecture a to architecture b (requirement G04.15)."""
PositiveFloat = Annotated[float, Meta(gt=0.0)]


class SelfplaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How games for training are made."""

    games: Positive = 256
    """games of one generation; on hex8_2p the second network scored 72 % against the first after so
    many, 55 % after 192"""
    bootstrap_games: Positive = 96
    """games before the first network, searched with the handcrafted heuristic at the leaves: a
    network's own games teach more. On hex8_2p the first network scored 88, 85 and 90 % of 96 games
    against the heuristic after 160, 256 and 512 of them"""
    games_per_ticket: Positive = 96
    """lockstep games of one ticket: a batch of 64 to 128 leaves keeps the network's cost a position
    low on a CPU"""
    simulations: Positive = 32
    """search budget a decision"""
    budget: Literal["fixed", "tiers"] = "fixed"
    """`tiers`: not `simulations` but 64, 150, 200 up to 1,600 by games and Elo (requirement
    G14.12); needs accelerators"""
    considered: Positive = 16
    """actions sampled at the root (Gumbel AlphaZero, Danihelka et al. 2022, uses 16)"""
    noise_plies: NonNegative = 24
    """plies at the start of a game whose Gumbel noise has full scale; afterwards the best action is
    played"""
    even_openings: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """share of a network's games that begin with the most even of several random openings, as its
    own search values them. After eight generations with half of them the network scored 59 to 62 %
    against that of a run without on hex8_2p, where one seat wins nearly all, and 41 to 50 % on
    square8_2p"""
    opening_plies: NonNegative = 0
    """a game begins with 0 to so many random moves, which nobody learns from"""
    pie: bool = False
    """pie rule, two seats only"""
    max_moves: Positive = 4000
    """a game longer than this is an error: the rules bound every game (section 19), the longest
    seen has 1,500 plies"""


class ShardSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How games become training samples."""

    games: Positive = 64
    """games of one shard"""
    windows_kept: PositiveFloat = 2.0
    """a shard this many windows of a training back is retired: its blob is deleted, and made again
    if anybody asks for it. More than one, so that a window that is made wider finds its shards"""


class TrainingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When and how a network is trained."""

    architecture: str = "v2-micro"
    architectures: tuple[str, ...] = ()
    """several to compete for training, each config's trainings shared out by Elo an hour; empty:
    `architecture` alone"""
    min_samples: Positive = 5000
    """new samples since the last training before the next one (requirement G08.02)"""
    window_samples: Positive = 90_000
    """newest samples a training may see; older play is weaker play"""
    epochs: PositiveFloat = 2.0
    """passes over the window: steps = epochs * window / batch"""
    batch: Positive = 256
    learning_rate: PositiveFloat = 2e-3
    weight_decay: Annotated[float, Meta(ge=0.0)] = 1e-4
    value_weight: PositiveFloat = 1.0
    """weight of the value loss against the policy loss"""
    rank_weight: NonNegativeFloat = 0.0
    """weights of the auxiliary losses, which shape the trunk: final rank of every seat, final owner
    of every cell, moves left. Off until an experiment shows that they pay"""
    territory_weight: NonNegativeFloat = 0.0
    moves_left_weight: NonNegativeFloat = 0.0
    init: tuple[ModelOfConfig, ...] = ()
    """networks that the first training of a config starts from, such as `square8_4p=<digest>` of
    one made by `ringrift model transfer`"""
    distill_from: tuple[ModelOfConfig, ...] = ()
    """networks that teach the trainings of a config, of any architecture; `distill_weight` of the
    targets is theirs"""
    distill_weight: Fraction = 0.5
    validation_fraction: Fraction = 0.05
    """share of the games kept out of the gradient and used for the validation loss"""
    checkpoint_steps: Positive = 100
    """steps between checkpoints: what a killed trainer repeats at most"""
    early_samples: Positive = 1000
    """new samples that may be enough if they are telling (requirement G08.03)"""
    early_half_width: Fraction = 0.025
    """telling: half the 95 % interval of the strongest seat's share of wins over so many samples
    (requirement G08.03)"""
    cooldown_seconds: Annotated[float, Meta(ge=0.0)] = 300.0
    """from one training of a config to its next where several configs compete for trainers; one
    alone never waits"""
    cooldown_fast: PositiveFloat = 0.5
    """factor of the cool-down while the config grows fast: there a training gains most (requirement
    G08.04)"""
    cooldown_stalled: PositiveFloat = 1.5
    cooldown_regressing: PositiveFloat = 2.0
    stale_after_seconds: PositiveFloat = 86_400.0
    """data whose newest shard is older are not trained on before more were played (requirement
    G06.36)"""
    quality_min: Fraction = 0.4
    """quality, faded by age, below which a training waits; neutral is 0.5, so an old assessment
    never blocks (G07.06)"""
    degraded_samples: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.8
    """share of `min_samples` that is enough while the quality of a config is degraded: a newer
    network plays better data (requirement G07.05). Not less: what is trained on is poor"""
    intensity_poor: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.5
    """times the epochs at a quality of 0, straight up to 1 at the neutral 0.5 (requirement
    G08.05)"""
    intensity_good: PositiveFloat = 1.0
    """times the epochs at a quality of 1. 1: good data are learned from as usual, until an
    experiment shows that more pays"""
    assessment_seconds_max: PositiveFloat = 60.0
    """how long a training waits for what is found of the newest shard: a moment, unless nobody
    assesses any more"""
    quality_blocks_max: NonNegative = 3
    """times that bad quality may make one generation play on: better a training on poor data than
    none"""
    shard_quality_power: NonNegativeFloat = 0.0
    """samples of a shard weigh (quality / neutral) to this power in the loss (requirement G06.05).
    0: all alike, until an experiment shows that it pays"""
    cascade: tuple[Cascade, ...] = ()
    """off where empty; when a network of architecture a is promoted, the next training of its
    config is of b, taught by it"""
    silent_seconds_max: PositiveFloat = 7200.0
    """without a sign of life for so long a training is given to another (requirement G08.13)"""


class EvaluationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a candidate is measured."""

    simulations: Positive = 32
    starts_per_ticket: Positive = 32
    """starts of one promotion ticket; the sequential test looks after each"""
    baseline_starts: Positive = 48
    """starts against random and against the heuristic, once a candidate"""
    waiting_max: Positive = 70
    """matches that wait before training pauses (requirement G09.02)"""
    waiting_resume: NonNegative = 35
    """matches that wait when training goes on"""
    stale_days: PositiveFloat = 30.0
    """a current network whose newest match against a baseline is older plays them once more
    (requirement G09.08)"""
    opening_plies: NonNegative = 4
    """random plies before the players take over, so that games of a pair differ from those of the
    next. After 8 of them on hex8_2p a quarter of the starts against the heuristic were decided
    before anybody had thought: whoever had the better seat won"""
    even_openings: bool = True
    """where two networks meet: of several random openings of 2 to 16 plies the one that the
    opponent's search finds most even"""


class PromotionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sequential test that promotes: elo0 is not worth it, elo1 is (Wald 1945; bounds
    log(b/(1-a)), log((1-b)/a))."""

    elo0: float = 0.0
    elo1: float = 40.0
    alpha: Annotated[float, Meta(gt=0.0, lt=0.5)] = 0.05
    beta: Annotated[float, Meta(gt=0.0, lt=0.5)] = 0.05
    starts_max: Positive = 64
    """starts after which an undecided test goes by `score_at_cap`"""
    score_at_cap: Fraction = 0.52
    """share of points that promotes when the test is still open at the cap"""
    cooldown_seconds: Annotated[float, Meta(ge=0.0)] = 600.0
    """after a rollback nothing is promoted for so long: the networks at hand come from the weights
    that were rolled back"""


class LossSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a loss is abnormal: the bound follows the config's own trainings (requirement
    G13.16)."""

    history: Positive = 10
    """trainings that tell what loss to expect; older ones learned from weaker play"""
    history_min: Positive = 4
    """trainings before anything can be abnormal: fewer give no spread"""
    minor_deviations: PositiveFloat = 3.0
    """about one training in 700 by chance, if losses were normal"""
    major_deviations: PositiveFloat = 4.5
    critical_deviations: PositiveFloat = 6.0
    spread_min: PositiveFloat = 0.02
    """least standard deviation, as a share of the expected loss: seeds alone move the loss by about
    a percent"""
    plateau_trainings: Positive = 5
    """trainings without a gain that make a plateau; twice as many a major, four times as many a
    critical one"""
    plateau_gain: Fraction = 0.005
    """share by which the best loss must fall to count as a gain"""


class QualityWeights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each component of quality weighs; a component that cannot be measured yet is left out of
    the mean."""

    decisive: PositiveFloat = 0.25
    """games with a winner: the others teach the value nothing"""
    length: PositiveFloat = 0.2
    openings: PositiveFloat = 0.2
    agreement: PositiveFloat = 0.15
    opponents: PositiveFloat = 0.1
    """little: self-play has one opponent by design"""
    parity: PositiveFloat = 0.1
    """little: games that do not replay are left out of shards anyway"""


class QualitySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How data are judged (requirements G07.01 to G07.04); 0.5 is neutral."""

    window_shards: Positive = 8
    """newest shards that are judged together: 512 games at the default size, enough for full
    confidence"""
    degraded_below: Fraction = 0.45
    recovered_from: Fraction = 0.55
    """bounds on both sides of neutral, so that a quality near one of them does not flap"""
    half_life_seconds: PositiveFloat = 3600.0
    """an assessment fades towards neutral (requirement G07.04)"""
    weights: QualityWeights = QualityWeights()


class ExplorationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much longer than usual self-play explores (requirements G12.08 and G13.08)."""

    anomaly_minor: PositiveFloat = 1.1
    """factor after a loss anomaly, by its severity"""
    anomaly_major: PositiveFloat = 1.25
    anomaly_critical: PositiveFloat = 1.5
    plateau_minor: PositiveFloat = 1.05
    """factor after a plateau: milder, it may be the end of what can be learned"""
    plateau_major: PositiveFloat = 1.15
    plateau_critical: PositiveFloat = 1.3
    boost_max: PositiveFloat = 2.0
    """beyond twice the plies most of a short game would be noise"""
    decay_regressing: PositiveFloat = 1.05
    """factor a generation, by the pace of the config (requirement G13.08: +5, 0, -10, -2 %)"""
    decay_stalled: PositiveFloat = 1.0
    decay_steady: PositiveFloat = 0.9
    decay_fast: PositiveFloat = 0.98


class VelocitySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How progress is measured (requirements G10.04, G10.09, G13.08); Elo is that of promoted
    networks above the heuristic."""

    window_hours: PositiveFloat = 6.0
    """gains older than this are history"""
    hours_min: PositiveFloat = 1.0
    """a gain counts as made in at least so long: two networks a minute apart tell no rate"""
    fast_above: float = 2.0
    """Elo an hour"""
    stalled_below: float = 0.5
    regressing_below: float = -0.5
    """tested before `stalled_below`; not 0: ratings move by a fraction with every match"""
    change_min: PositiveFloat = 1.0
    """Elo, or Elo an hour, by which a value must move to be told again"""
    stall_hours: PositiveFloat = 24.0
    gain_min: PositiveFloat = 5.0
    """Elo above the best so far that count as progress; less is within the error of a rating"""


class RegressionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the current network counts as weaker than one before it (requirement G09.16); Elo below
    the best promoted one."""

    minor_elo: PositiveFloat = 30.0
    """what a promotion is to gain at least, nearly: `promotion.elo1` is 40"""
    major_elo: PositiveFloat = 75.0
    critical_elo: PositiveFloat = 150.0
    """the weaker one then wins three games in ten: rolled back"""
    cleared_below: Fraction = 0.5
    """share of `minor_elo` that ends a regression: half, so that it does not flap"""
    games_min: Positive = 100
    """games both must have played"""
    standard_errors_min: PositiveFloat = 2.0
    """standard errors of the difference by which it must be below"""


class CurriculumSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What moves the weight of a config, as factors, and how far that carries to relatives
    (requirements G12.02 to G12.09)."""

    anomaly_minor: PositiveFloat = 1.1
    """more games: they thin out the data that made the loss jump"""
    anomaly_major: PositiveFloat = 1.2
    anomaly_critical: PositiveFloat = 1.4
    stalled: PositiveFloat = 1.25
    """taken back when progress is back"""
    degraded: PositiveFloat = 1.2
    """taken back when the quality has recovered"""
    regressed: PositiveFloat = 1.5
    """weight that a critical regression brings back at least; a smaller one brings back its
    share"""
    same_family: Fraction = 0.8
    """square8 and square19, or hex8 and hexagonal, with as many seats (requirement G12.03, as the
    next two)"""
    same_board: Fraction = 0.6
    """with other seats"""
    other_family: Fraction = 0.4
    """with as many seats, and only to a config that is not stronger"""
    weight_min: PositiveFloat = 0.25
    weight_max: PositiveFloat = 4.0
    outage_seconds: PositiveFloat = 300.0
    """without a tick for so long the log could not be written, or nobody ran (requirement
    G12.05)"""


class SchedulingWeights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each term of a config's priority weighs; normalised, for these (requirements G14.02 to
    G14.07) sum to 0.75."""

    staleness: PositiveFloat = 0.15
    velocity: PositiveFloat = 0.10
    curriculum: PositiveFloat = 0.20
    quality: PositiveFloat = 0.15
    diversity: PositiveFloat = 0.10
    value_of_information: PositiveFloat = 0.05


class SchedulingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How self-play is shared out among configs."""

    weights: SchedulingWeights = SchedulingWeights()
    stale_hours: PositiveFloat = 4.0
    """without a shard for so long a config is as stale as can be; as old as a ticket that ages
    (requirement G14.16)"""
    ultra_games: Positive = 20
    """below so many games the priority counts `ultra_factor` times (requirement G14.09, which
    leaves the tiers open): a handful"""
    ultra_factor: PositiveFloat = 200.0
    emergency_games: Positive = 100
    """the first budget tier of requirement G14.12"""
    emergency_factor: PositiveFloat = 50.0
    critical_games: Positive = 500
    """the second one, and where quality is judged with full confidence"""
    critical_factor: PositiveFloat = 20.0
    floor: Fraction = 0.25
    """least share, in units of an equal share (requirement G14.10)"""
    cap: Fraction = 0.4
    """largest share, or twice an equal share where that is more"""
    change_min: Fraction = 0.02
    """part of itself by which a share must move to be decided anew: less is a few games of a
    generation"""
    quotas: tuple[
        Annotated[
            str, Meta(pattern="^(square8|square19|hex8|hexagonal)(_[234]p)?=(0?[.][0-9]+|1)$")
        ],
        ...,
    ] = ()
    """most that a board or config may have of self-play, such as `square8=0.3` (requirement
    G14.15); floors go first"""
    cost_aware: bool = True
    """registered nodes on which a game is dear stand by, and trainings go to where they are cheap
    (requirement G14.18)"""
    cost_ratio_max: PositiveFloat = 1.4
    """cost of a game on a node, against that on the fleet as a whole, above which it stands by. On
    the list in `ops/fleet.toml` the costs lie at 0.2 to 0.7, 1.0 and from 1.5 on: the bound is in
    the gap"""
    configs_per_trainer: Positive = 4
    """one registered node trains for so many configs, first of all"""
    preempt_seconds: PositiveFloat = 900.0
    """a training that waits for so long takes a node from what it plays (requirement G14.17)"""
    release_seconds: PositiveFloat = 3600.0
    """without another training that waited too long, after which such a node plays again. Where it
    trained on for good, the simulated fleet saved 10 in place of 25 % (`ringrift simulate --hours
    48 --seed 1`)"""
    trainer_slowness_max: PositiveFloat = 1.25
    """times that a node that trains may take what the fleet takes for a game: everybody waits for a
    training, however cheap"""
    evaluator_slowness_max: PositiveFloat = 2.5
    """the same of a node that evaluates, while another may: a match is one ticket for which a
    verdict waits, self-play is in many. On the list in `ops/fleet.toml` the slownesses lie at 0.6
    to 1.6 and from 2.9 on"""
    ticket_seconds: PositiveFloat = 1200.0
    """how long a ticket on a registered node should take, by what finished work tells; longer saves
    no more"""
    ticket_seconds_ephemeral: PositiveFloat = 300.0
    """where the node may vanish: at a loss every few hours a percent or two of its work is done
    again"""
    ageing_seconds: PositiveFloat = 14_400.0
    """tickets that wait for 4 h go first (requirement G14.16)"""
    deadlock_seconds: PositiveFloat = 900.0
    """nothing is asked of any worker for so long: the waiting is broken; the longest usual gap is a
    cool-down of 10 minutes"""


class TuningSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When trainings do other than `training.*` says, and how far at most (requirements G08.19 and
    G13.07, which leave the numbers open); in factors."""

    rate_step: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.7
    """on the learning rate: two steps halve it, the usual answer to a plateau in one"""
    rate_min: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.2
    """smaller steps would take more epochs than a generation has"""
    epochs_step: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.8
    epochs_min: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.5
    """of 2 epochs by default: each sample is still seen once"""
    overfit_gap: PositiveFloat = 0.15
    """share by which the validation loss must be above the training loss"""
    overfits: Positive = 2
    """trainings in a row that overfit before there are fewer epochs: one may be its seed"""
    trainings_min: Positive = 4
    """trainings before anything is told from their losses, as `loss.history_min`"""
    rejections: Positive = 3
    """candidates in a row that were no better: one or two are nothing unusual where progress is
    slow"""


class ArchitectureSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How architectures are compared."""

    half_life_trainings: PositiveFloat = 8.0
    """trainings after which a gain counts half"""
    floor: Fraction = 0.2
    """least share, in units of an equal share"""


class OperationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When somebody or something is in trouble, and what is done about it."""

    node_suspected_seconds: PositiveFloat = 300.0
    node_degraded_seconds: PositiveFloat = 600.0
    node_lost_seconds: PositiveFloat = 1800.0
    """silence after which a node is suspected, degraded, lost (requirement G16.13: 5, 10, 30
    minutes)"""
    pressure_caution: Fraction = 0.60
    pressure_warning: Fraction = 0.70
    pressure_critical: Fraction = 0.80
    pressure_emergency: Fraction = 0.90
    """share of memory or file descriptors in use at which the tier begins (requirement G18.01)"""
    pressure_hysteresis: Fraction = 0.05
    """a tier ends so far below its beginning, or the fleet would flap at the border"""
    disk_caution: Fraction = 0.80
    disk_warning: Fraction = 0.95
    disk_critical: Fraction = 0.97
    disk_emergency: Fraction = 0.99
    """the same of the disk: three quarters full is how most disks live, so work stops later"""
    disk_hysteresis: Fraction = 0.01
    dead_letter_retries: NonNegative = 4
    dead_letter_retry_seconds: PositiveFloat = 300.0
    """wait before the first automatic retry of a dead letter; every next one waits four times as
    long, the last 5 h"""
    dead_letters_max: Positive = 50
    """so many unresolved dead letters are an alarm (requirement G15.06)"""
    fetch_tries: Positive = 5
    fetch_seconds_max: PositiveFloat = 2700.0
    """tries, or time, that a worker spends on a network that it cannot fetch before it takes an
    older one (requirement G06.37)"""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an operator may turn. `generations` 0 means: go on until stopped."""

    configs: tuple[
        Annotated[str, Meta(pattern="^(square8|square19|hex8|hexagonal)_[234]p$")], ...
    ] = ("hex8_2p",)
    generations: NonNegative = 0
    seed: NonNegative = 1
    selfplay: SelfplaySettings = SelfplaySettings()
    shard: ShardSettings = ShardSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    promotion: PromotionSettings = PromotionSettings()
    operation: OperationSettings = OperationSettings()
    loss: LossSettings = LossSettings()
    quality: QualitySettings = QualitySettings()
    exploration: ExplorationSettings = ExplorationSettings()
    velocity: VelocitySettings = VelocitySettings()
    regression: RegressionSettings = RegressionSettings()
    curriculum: CurriculumSettings = CurriculumSettings()
    scheduling: SchedulingSettings = SchedulingSettings()
    tuning: TuningSettings = TuningSettings()
    architectures: ArchitectureSettings = ArchitectureSettings()


SHARED_MACHINE = Settings(
    operation=OperationSettings(
        pressure_caution=0.80,
        pressure_warning=0.90,
        pressure_critical=0.95,
        pressure_emergency=0.98,
    )
)
"""defaults where the loop brings its own server: a laptop's user fills 70 % of its memory before we
start, and wants us to play"""


def model_for(chosen: Iterable[str], config: str) -> str | None:
    """The digest that `chosen` (of `ModelOfConfig`) names for a config, the last one if several;
    None if none."""
    return dict(text.split("=") for text in chosen).get(config)


HYPERPARAMETERS = frozenset(
    f"training.{name}"
    for name in (
        "epochs",
        "batch",
        "learning_rate",
        "weight_decay",
        "value_weight",
        "rank_weight",
        "territory_weight",
        "moves_left_weight",
        "distill_weight",
    )
)
"""settings that can be others for the trainings of one config (`HyperparametersAdjusted`): they say
how to train, not on what"""
