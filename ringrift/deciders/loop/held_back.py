"""What holds a due training back?

    pressure    too many matches wait: until most are played
    cool-down   this config was trained a moment ago, by its pace, and no trainer is free: others
                are trained first
    stale data  the newest shard with samples is a day old: the generation plays on
    quality     the data, with the newest shard, are poor: the generation plays on, at most three
                times; checked again with each assessment and each tick

Poor data that are trained on get fewer epochs."""

from datetime import datetime
from typing import Literal

from ringrift.deciders.feedback.quality import NEUTRAL, faded
from ringrift.deciders.kit import Context, Fold, Struct, replace
from ringrift.deciders.loop.attempts import Attempts
from ringrift.events import facts as f
from ringrift.events.settings import Settings, TrainingSettings

Defect = Literal["quality", "stale data"]


class Readiness(Struct, frozen=True, kw_only=True):
    """Age and quality of the data of a config, its pace, and how often it was held back."""

    exported_at: datetime | None = None
    assessed: float | None = None
    """newest quality, adjusted"""
    assessed_at: datetime | None = None
    unassessed: str | None = None
    """the newest shard, until its quality is known"""
    pace: f.Pace | None = None
    generation: int = -1
    """newest generation whose self-play was planned"""
    blocked: bool = False
    """this generation must play on, and has no new plan yet"""
    blocks: int = 0
    """times that quality held this generation back"""

    def quality(self, settings: Settings, now: datetime) -> float:
        """The newest assessment, faded by its age; neutral without one."""
        if self.assessed is None or self.assessed_at is None:
            return NEUTRAL
        age = (now - self.assessed_at).total_seconds()
        return faded(self.assessed, age, settings.quality.half_life_seconds)

    def assessing(self, settings: TrainingSettings, now: datetime) -> bool:
        """Whether an assessment of the newest shard is expected; not if data of the config were
        never assessed."""
        if self.unassessed is None or self.assessed_at is None or self.exported_at is None:
            return False
        passed = (now - self.exported_at).total_seconds()
        return 0.0 <= passed < settings.assessment_seconds_max

    def defect(self, settings: Settings, now: datetime) -> tuple[Defect, str] | None:
        """Why the data must not be trained on, with a detail; None if they may."""
        training, quality = settings.training, self.quality(settings, now)
        age = (now - self.exported_at).total_seconds() if self.exported_at else 0.0
        if age > training.stale_after_seconds:
            return "stale data", f"the newest shard is {age / 3600.0:.1f} h old"
        patient = self.blocks < training.quality_blocks_max or self.blocked
        if self.assessed is not None and quality < training.quality_min and patient:
            return "quality", f"quality {quality:.2f}, {training.quality_min:.2f} needed"
        return None


READINESS = Fold(Readiness)
READINESS.keeps(f.VelocityChanged, pace=lambda fact: fact.pace)


@READINESS.evolves
def planned(item: Readiness, fact: f.SelfplayPlanned) -> Readiness:
    if fact.spare:
        return item
    blocks = item.blocks if fact.generation == item.generation else 0
    return replace(item, generation=fact.generation, blocked=False, blocks=blocks)


@READINESS.evolves
def exported(item: Readiness, fact: f.ShardExported, context: Context) -> Readiness:
    if fact.supersedes or not fact.samples or (fact.imported and fact.games == fact.imported):
        return item
    return replace(item, exported_at=context.time, unassessed=fact.digest if fact.summary else None)


@READINESS.evolves
def assessed(item: Readiness, fact: f.QualityAssessed, context: Context) -> Readiness:
    unassessed = None if item.unassessed == fact.shard else item.unassessed
    return replace(item, assessed=fact.adjusted, assessed_at=context.time, unassessed=unassessed)


@READINESS.evolves
def blocked(item: Readiness, fact: f.TrainingBlocked) -> Readiness:
    return replace(item, blocked=True, blocks=item.blocks + (fact.reason == "quality"))


@READINESS.evolves
def requested(item: Readiness, fact: f.TrainingRequested) -> Readiness:
    return replace(item, blocked=False, blocks=0)


@READINESS.evolves
def deadlock_broken(item: Readiness, fact: f.DeadlockBroken) -> Readiness:
    return replace(item, blocked=False)


def waits(
    config: str, readiness: Readiness, attempts: Attempts, context: Context
) -> Literal["", "pause", "assessment"]:
    """Whether a pause or a missing assessment holds the training back. A failed one does not wait
    for an assessment."""
    if context.pauses.stops(config, "training"):
        return "pause"
    if attempts.failed or not readiness.assessing(context.settings.training, context.time):
        return ""
    return "assessment"


def cooling_seconds(readiness: Readiness, attempts: Attempts, context: Context) -> float:
    """Time for which others are trained first; 0 after a failure."""
    if attempts.failed or attempts.finished_at is None:
        return 0.0
    passed = (context.time - attempts.finished_at).total_seconds()
    left = cooldown_seconds(readiness.pace, context.settings.training) - passed
    return max(left, 0.0) if passed >= 0.0 else 0.0


def cooldown_seconds(pace: f.Pace | None, settings: TrainingSettings) -> float:
    """Time from the end of one training to the next, by the pace of the config."""
    return settings.cooldown_seconds * settings.cooldown_by_pace.of(pace)


def intensity(quality: float, settings: TrainingSettings) -> float:
    """Factor on the epochs for data of this quality: 1 at neutral, linear to each end (requirement
    G08.05)."""
    end = settings.intensity_good if quality > NEUTRAL else settings.intensity_poor
    return round(1.0 + (end - 1.0) * abs(quality - NEUTRAL) / NEUTRAL, 4)
