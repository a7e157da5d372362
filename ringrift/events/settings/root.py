"""All settings in one struct."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from ringrift.events.settings import feedback, fleet, loop
from ringrift.events.settings.archive import ArchiveSettings, BackupSettings
from ringrift.events.settings.kinds import ConfigPattern, NonNegative, Tiers, distinct
from ringrift.events.settings.renting import RentingSettings
from ringrift.events.settings.trust import AuditSettings, ParitySettings, TrustSettings


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an operator can change."""

    configs: tuple[ConfigPattern, ...] = ("hex8_2p",)
    """configs that are played and trained: board and number of seats"""
    generations: NonNegative = 0
    """networks of each config that are judged before `ringrift up` stops; 0: it runs until
    stopped"""
    seed: Annotated[int, Meta(ge=0, lt=2**53)] = 1
    """of everything random; the same seed on the same machine gives the same games"""
    selfplay: loop.SelfplaySettings = loop.SelfplaySettings()
    shard: loop.ShardSettings = loop.ShardSettings()
    training: loop.TrainingSettings = loop.TrainingSettings()
    evaluation: loop.EvaluationSettings = loop.EvaluationSettings()
    promotion: loop.PromotionSettings = loop.PromotionSettings()
    operation: fleet.OperationSettings = fleet.OperationSettings()
    alerts: fleet.AlertSettings = fleet.AlertSettings()
    loss: feedback.LossSettings = feedback.LossSettings()
    quality: feedback.QualitySettings = feedback.QualitySettings()
    exploration: feedback.ExplorationSettings = feedback.ExplorationSettings()
    velocity: feedback.VelocitySettings = feedback.VelocitySettings()
    regression: feedback.RegressionSettings = feedback.RegressionSettings()
    curriculum: feedback.CurriculumSettings = feedback.CurriculumSettings()
    scheduling: fleet.SchedulingSettings = fleet.SchedulingSettings()
    renting: RentingSettings = RentingSettings()
    tuning: feedback.TuningSettings = feedback.TuningSettings()
    architectures: feedback.ArchitectureSettings = feedback.ArchitectureSettings()
    archive: ArchiveSettings = ArchiveSettings()
    backup: BackupSettings = BackupSettings()
    audit: AuditSettings = AuditSettings()
    parity: ParitySettings = ParitySettings()
    trust: TrustSettings = TrustSettings()

    def __post_init__(self) -> None:
        distinct(self, "configs")

    @property
    def recounts(self) -> bool:
        """Whether scores count only once they were recounted."""
        return self.evaluation.recount or self.trust.required


FIRST = Settings(evaluation=loop.EvaluationSettings(recount=True))
"""with which a new log begins: unlike the defaults, by which older logs were decided"""
TOWER_MACHINE = replace(
    FIRST,
    operation=fleet.OperationSettings(
        pressure=Tiers(caution=0.80, warning=0.90, critical=0.95, emergency=0.98, hysteresis=0.05)
    ),
)
"""those for a loop that runs its own server: its user's other programs often fill 70 % of the
memory of a laptop"""
NNUE_MACHINE = replace(
    TOWER_MACHINE,
    selfplay=loop.SelfplaySettings(
        games=500,
        bootstrap_games=1_000,
        large_board_share=0.1,
        games_per_ticket=250,
        simulations=64,
        noise_plies=60,
        opening_plies=8,
        even_openings=0.5,
    ),
    shard=loop.ShardSettings(games=100),
    evaluation=loop.EvaluationSettings(simulations=64, recount=True),
    training=loop.TrainingSettings(
        architecture="nnue_policy",
        min_samples=20_000,
        window_samples=120_000,
        epochs=0.75,
        checkpoint_steps=1_000,
        first_samples=400_000,
        first_intensity=2.0,
    ),
)
"""the same with NNUEs, which play forty times as many games on a core as the smallest tower: a
generation has more of them (`docs/experiments.md`). A thousand steps take twenty seconds on a small
board, and a checkpoint has 13 MB"""

_TRAINING = """
epochs batch learning_rate weight_decay value_weight rank_weight territory_weight moves_left_weight
distill_weight shard_quality_power
"""
HYPERPARAMETERS = frozenset(f"training.{name}" for name in _TRAINING.split())
"""settings that may differ for the trainings of one config (`HyperparametersAdjusted`): how to
train and how samples are weighed, not on which data"""


def model_for(chosen: Iterable[str], config: str) -> str | None:
    """Digest of a config's network among `chosen` (of `ModelOfConfig`), the last if several; None
    if there is none."""
    return dict(text.split("=") for text in chosen).get(config)


def groups_of(together: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The group of each config that is trained with others, among groups of `ConfigGroup`."""
    groups = (tuple(group.split("+")) for group in together)
    return {config: group for group in groups for config in group}
