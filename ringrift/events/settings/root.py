"""All settings in one struct."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ringrift.events.settings.feedback import (
    ArchitectureSettings,
    CurriculumSettings,
    ExplorationSettings,
    LossSettings,
    QualitySettings,
    RegressionSettings,
    TuningSettings,
    VelocitySettings,
)
from ringrift.events.settings.fleet import OperationSettings, SchedulingSettings
from ringrift.events.settings.kinds import ConfigPattern, NonNegative, Tiers
from ringrift.events.settings.loop import (
    EvaluationSettings,
    PromotionSettings,
    SelfplaySettings,
    ShardSettings,
    TrainingSettings,
)


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an operator can change. With `generations` 0 the loop runs until stopped."""

    configs: tuple[ConfigPattern, ...] = ("hex8_2p",)
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
        pressure=Tiers(caution=0.80, warning=0.90, critical=0.95, emergency=0.98, hysteresis=0.05)
    )
)
"""defaults for a loop that runs its own server: its user's other programs often fill 70 % of the
memory of a laptop"""

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
"""settings that may differ for the trainings of one config (`HyperparametersAdjusted`): how to
train, not on what"""


def model_for(chosen: Iterable[str], config: str) -> str | None:
    """Digest of a config's network among `chosen` (of `ModelOfConfig`), the last if several; None
    if there is none."""
    return dict(text.split("=") for text in chosen).get(config)
