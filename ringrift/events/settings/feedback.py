"""Settings of feedback: findings about losses, data and ratings, and the reactions to them."""

from typing import Annotated

from msgspec import Meta, Struct

from ringrift.events.settings import kinds

Step = Annotated[float, Meta(ge=0.01, le=0.99)]


class LossSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a loss is abnormal, by the config's own trainings (requirement G13.16)."""

    history: kinds.Positive = 10
    """newest trainings that the expected loss is derived from; older ones learned from weaker
    play"""
    history_min: kinds.Positive = 4
    """trainings before a loss can be abnormal; fewer give no spread"""
    deviations: kinds.BySeverity = kinds.BySeverity(minor=3.0, major=4.5, critical=6.0)
    """standard deviations above the expected loss; 3 occur by chance once in 700 trainings if
    losses are normally distributed"""
    spread_min: kinds.PositiveFloat = 0.02
    """smallest standard deviation, as a share of the expected loss; seeds alone move the loss by
    about a percent"""
    plateau_trainings: kinds.Positive = 5
    """trainings without a gain that are a minor plateau; twice as many are a major, four times as
    many a critical one"""
    plateau_gain: kinds.Fraction = 0.005
    """share by which the best loss must fall to count as a gain"""

    def __post_init__(self) -> None:
        kinds.rising(self, "history_min", "history")


class QualityWeights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weight of each component of quality; components without data are left out of the mean."""

    decisive: kinds.PositiveFloat = 0.25
    """of games with a winner; the others teach the value nothing"""
    length: kinds.PositiveFloat = 0.2
    """of how little the mean length of games has shifted"""
    openings: kinds.PositiveFloat = 0.2
    """of how different the openings are"""
    agreement: kinds.PositiveFloat = 0.15
    """of decisions at which the search already valued the later winner most, above chance"""
    opponents: kinds.PositiveFloat = 0.1
    """of the number of opponents; low, because most self-play has one by design"""
    parity: kinds.PositiveFloat = 0.1
    """of games that replay; low, because others are left out of shards anyway"""


class QualitySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How data are judged (requirements G07.01 to G07.04); 0.5 is neutral."""

    window_shards: kinds.Positive = 8
    """newest shards that are judged together: 512 games by default, enough for full confidence"""
    degraded_below: kinds.Fraction = 0.45
    """quality below which the data of a config are degraded"""
    recovered_from: kinds.Fraction = 0.55
    """quality from which they are no longer degraded: above neutral, so that the state does not
    flap"""
    half_life_seconds: kinds.PositiveFloat = 3600.0
    """time in which an assessment fades half of the way to neutral (requirement G07.04)"""
    weights: QualityWeights = QualityWeights()

    def __post_init__(self) -> None:
        kinds.rising(self, "degraded_below", "recovered_from")


class ExplorationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Factors on the exploration of self-play (requirements G12.08 and G13.08)."""

    anomaly: kinds.BySeverity = kinds.BySeverity(minor=1.1, major=1.25, critical=1.5)
    """factor after a loss anomaly"""
    plateau: kinds.BySeverity = kinds.BySeverity(minor=1.05, major=1.15, critical=1.3)
    """factor after a plateau; smaller than after an anomaly, because nothing more may be left to
    learn"""
    boost_max: Annotated[float, Meta(ge=1.0, le=100.0)] = 2.0
    """largest product of all factors; with more, most moves of a short game would be noise"""
    decay: kinds.ByPace = kinds.ByPace(regressing=1.05, stalled=1.0, steady=0.9, fast=0.98)
    """factor per generation (requirement G13.08: +5, 0, -10, -2 %)"""


class VelocitySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How progress is measured (requirements G10.04, G10.09, G13.08), in Elo of promoted networks
    above the heuristic."""

    window_hours: kinds.Hours = 6.0
    """gains that are older are ignored"""
    hours_min: kinds.Hours = 1.0
    """a gain counts as made in at least this time: two networks a minute apart give no rate"""
    fast_above: kinds.Float = 2.0
    """Elo per hour above which progress is fast"""
    stalled_below: kinds.Float = 0.5
    """Elo per hour below which progress is stalled"""
    regressing_below: kinds.Float = -0.5
    """Elo per hour below which a config regresses; not 0, because every evaluation moves ratings by
    a fraction"""
    change_min: kinds.PositiveFloat = 1.0
    """Elo, or Elo per hour, by which a value must change to be recorded again"""
    stall_hours: kinds.Hours = 24.0
    """time without a network that exceeds the best after which `ProgressStalled` is recorded"""
    gain_min: kinds.PositiveFloat = 5.0
    """Elo above the previous best that count as progress; less is within the error of a rating"""

    def __post_init__(self) -> None:
        kinds.rising(self, "regressing_below", "stalled_below", "fast_above")
        kinds.rising(self, "hours_min", "window_hours")


class RegressionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the incumbent is weaker than an earlier one (requirement G09.16)."""

    elo: kinds.BySeverity = kinds.BySeverity(minor=30.0, major=75.0, critical=150.0)
    """Elo below the best promoted network. Minor is nearly the gain that a promotion
    needs (`promotion.elo1` is 40); at critical the weaker network wins three games in ten and is
    rolled back"""
    cleared_below: kinds.Fraction = 0.5
    """share of `elo.minor` below which a regression ends, so that it does not flap"""
    games_min: kinds.Positive = 100
    """games that both networks must have played"""
    standard_errors_min: kinds.PositiveFloat = 2.0
    """standard errors of the difference that the drop must exceed"""


class CurriculumSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Factors on the weight of a config, and how much of them carries over to related configs
    (requirements G12.02 to G12.09)."""

    anomaly: kinds.BySeverity = kinds.BySeverity(minor=1.1, major=1.2, critical=1.4)
    """factor after a loss anomaly: more games dilute the data that made the loss jump"""
    stalled: kinds.PositiveFloat = 1.25
    """factor when progress stalls; undone when it recovers"""
    degraded: kinds.PositiveFloat = 1.2
    """factor when the data are degraded; undone when they recover"""
    regressed: kinds.PositiveFloat = 1.5
    """least weight after a critical regression; after a smaller one in proportion"""
    same_family: kinds.Fraction = 0.8
    """how much carries over between square8 and square19, or hex8 and hexagonal, with the same
    number of seats (requirement G12.03)"""
    same_board: kinds.Fraction = 0.6
    """how much carries over to the same board with another number of seats (requirement G12.03)"""
    other_family: kinds.Fraction = 0.4
    """how much carries over to a board of the other family with the same number of seats, and only
    to a config that is not stronger (requirement G12.03)"""
    weight_min: kinds.PositiveFloat = 0.25
    """least weight of a config"""
    weight_max: kinds.PositiveFloat = 4.0
    """largest weight of a config"""
    outage_seconds: kinds.PositiveFloat = 300.0
    """time without a tick that counts as an outage of the log or the coordinator (requirement
    G12.05)"""

    def __post_init__(self) -> None:
        kinds.rising(self, "weight_min", "weight_max")


class TuningSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When trainings deviate from `training.*`, and how far at most, as factors (requirements
    G08.19 and G13.07, which leave the numbers open)."""

    rate_step: Step = 0.7
    """factor on the learning rate: two steps halve it, which is the usual response to a plateau"""
    rate_min: kinds.Factor = 0.2
    """smallest factor on the learning rate; a smaller rate would need more epochs than a generation
    has"""
    epochs_step: Step = 0.8
    """factor on the epochs of a config whose trainings overfit"""
    epochs_min: kinds.Factor = 0.5
    """smallest factor on the epochs; of 2 by default, so that each sample is still seen once"""
    overfit_gap: kinds.PositiveFloat = 0.15
    """share by which the validation loss exceeds the training loss when a training overfits"""
    overfits: kinds.Positive = 2
    """overfitting trainings in a row that reduce the epochs; one may be due to its seed"""
    trainings_min: kinds.Positive = 4
    """trainings before anything is concluded from their losses, as `loss.history_min`"""
    rejections: kinds.Positive = 3
    """rejected candidates in a row that reduce the rate; one or two are usual where progress is
    slow"""


class ArchitectureSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How architectures are compared."""

    half_life_trainings: kinds.PositiveFloat = 8.0
    """trainings after which a gain in Elo counts half"""
    floor: kinds.Fraction = 0.2
    """least share of the trainings of an architecture, as a part of an equal share"""
    shares: tuple[kinds.ArchitectureShare, ...] = ()
    """shares of the trainings that a person sets, such as `v2-micro=0.3`; the architectures in
    `training.architectures` that are not named here share the rest equally. Empty: by Elo gained
    per hour"""

    def __post_init__(self) -> None:
        kinds.distinct(self, "shares")
        if (total := sum(self.by_name.values())) > 1.0 + 1e-9:
            raise kinds.Unlawful(f"{{}} must sum to at most 1; got {total:g}", "shares")

    @property
    def by_name(self) -> dict[str, float]:
        """The shares that a person sets, by architecture."""
        pairs = (entry.split("=") for entry in self.shares)
        return {name: float(share) for name, share in pairs}
