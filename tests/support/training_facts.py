"""Facts around one training, for the tests of when we train."""

from __future__ import annotations

from ringrift.events.facts import (
    QualityAssessed,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    ShardSummary,
    TickRecorded,
    TrainingFailed,
    TrainingFinished,
    TrainingStarted,
    VelocityChanged,
)
from support.loop_facts import fresh

CONFIG, OTHER = "hex8_2p", "square8_2p"


A, B = "a" * 64, "b" * 64


TICK = TickRecorded(minute=1)


def planned(generation: int = 0) -> SelfplayPlanned:
    return SelfplayPlanned(
        config=CONFIG,
        generation=generation,
        games=64,
        games_per_ticket=64,
        simulations=32,
        model=None,
        seed=1,
        settings_version=1,
    )


def played(generation: int = 0) -> SelfplayFinished:
    return SelfplayFinished(
        config=CONFIG,
        generation=generation,
        ticket=fresh(),
        games=64,
        plies=1,
        play_seconds=1.0,
        node="n",
    )


def exported(samples: int = 6000, wins: tuple[int, ...] | None = None) -> ShardExported:
    summary = wins and ShardSummary(
        games=64,
        wins=wins,
        plies=1,
        plies_squared=1,
        openings=1,
        participants=("a",),
        decisions=1,
        agreed=1,
    )
    return ShardExported(
        config=CONFIG,
        encoder="e",
        index=0,
        first_seq=1,
        last_seq=64,
        games=64,
        samples=samples,
        rejected=0,
        digest=A,
        size_bytes=1,
        summary=summary or None,
    )


def started(ticket: str = "t1") -> TrainingStarted:
    return TrainingStarted(
        config=CONFIG, generation=1, ticket=ticket, node="n", device="cpu", resumed_step=0
    )


def finished(ticket: str = "t1", model: str = B) -> TrainingFinished:
    return TrainingFinished(
        config=CONFIG,
        generation=1,
        ticket=ticket,
        model=model,
        steps=1,
        samples=1,
        loss=1.0,
        policy_loss=1.0,
        value_loss=1.0,
        validation_loss=None,
        train_seconds=1.0,
        node="n",
    )


def failed(ticket: str = "t1") -> TrainingFailed:
    return TrainingFailed(config=CONFIG, generation=1, ticket=ticket, reason="r", node="n")


def assessed(adjusted: float) -> QualityAssessed:
    return QualityAssessed(
        config=CONFIG,
        shard=A,
        games=500,
        score=adjusted,
        confidence=1.0,
        adjusted=adjusted,
        components={},
        settings_version=1,
    )


def pace(name) -> VelocityChanged:
    return VelocityChanged(
        config=CONFIG,
        model=B,
        elo_per_hour=1.0,
        pace=name,
        elo_above_heuristic=10.0,
        settings_version=1,
    )
