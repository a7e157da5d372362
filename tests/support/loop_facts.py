"""Facts of one config as its loop writes them, for the tests of the deciders."""

from __future__ import annotations

import itertools
from typing import Any

from ringrift.events.facts import (
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    NodeDescribed,
    NodePresenceChanged,
    PromotionRejected,
    Ranking,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    TrainingFinished,
    TrainingRequested,
)
from ringrift.events.settings import SelfplaySettings

A, B, C = "a" * 64, "b" * 64, "c" * 64
CONFIG = "hex8_2p"
SMALL = SelfplaySettings(games=128, bootstrap_games=64, games_per_ticket=64)


_NUMBERS = itertools.count(1)


def fresh() -> str:
    """A ticket that no other fact names."""
    return f"t{next(_NUMBERS)}"


def planned(generation: int = 0, games: int = 64, model: str | None = None) -> SelfplayPlanned:
    return SelfplayPlanned(
        config=CONFIG,
        generation=generation,
        games=games,
        games_per_ticket=64,
        simulations=32,
        model=model,
        seed=1,
        settings_version=1,
    )


def played(generation: int = 0, games: int = 64) -> SelfplayFinished:
    return SelfplayFinished(
        config=CONFIG,
        generation=generation,
        ticket=fresh(),
        games=games,
        plies=games * 150,
        play_seconds=1.0,
        node="n",
    )


def exported(
    index: int = 0, games: int = 64, samples: int = 6000, digest: str = A
) -> ShardExported:
    return ShardExported(
        config=CONFIG,
        encoder="e",
        index=index,
        first_seq=1 + 64 * index,
        last_seq=64 + 64 * index,
        games=games,
        samples=samples,
        rejected=0,
        digest=digest,
        size_bytes=1,
    )


def requested(generation: int = 1) -> TrainingRequested:
    return TrainingRequested(
        config=CONFIG,
        generation=generation,
        architecture="v2-micro",
        parent=None,
        shards=(A,),
        samples=6000,
        seed=1,
        reason="r",
        settings_version=1,
    )


def finished(model: str = B, generation: int = 1) -> TrainingFinished:
    return TrainingFinished(
        config=CONFIG,
        generation=generation,
        ticket="t",
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


def registered(model: str = B, generation: int = 1) -> ModelRegistered:
    return ModelRegistered(
        config=CONFIG,
        model=model,
        generation=generation,
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(),
        ticket="t",
    )


def promoted(model: str = B, generation: int = 1, previous: str | None = None) -> ModelPromoted:
    return ModelPromoted(
        config=CONFIG,
        generation=generation,
        model=model,
        previous=previous,
        evidence=None,
        why="w",
        settings_version=1,
    )


def rejected(model: str = B, generation: int = 1, current: str | None = None) -> PromotionRejected:
    return PromotionRejected(
        config=CONFIG,
        generation=generation,
        model=model,
        current=current,
        evidence=None,
        why="w",
        settings_version=1,
    )


def rankings(me: str, other: str, wins: int, losses: int) -> tuple[Ranking, ...]:
    """Results of games of two participants."""
    results = (((me, other), wins), ((other, me), losses))
    return tuple(Ranking(order=order, ranks=(1, 2), count=n) for order, n in results if n)


def scored(
    purpose: Any, wins: int, losses: int, model: str = B, round_: int = 0, config: str = CONFIG
) -> EvaluationScored:
    """`wins` starts won twice, `losses` starts lost twice."""
    starts = tuple((score, count) for score, count in ((0.0, losses), (1.0, wins)) if count)
    me, other = (
        f"{model[:12]}:gumbel:s32",
        f"{(A if model == B else B)[:12]}:gumbel:s32"
        if purpose == "promotion"
        else f"baseline:{'heuristic' if purpose == 'heuristic' else 'random'}:s0",
    )
    return EvaluationScored(
        config=config,
        generation=1,
        ticket=fresh(),
        candidate=me,
        candidate_model=model,
        opponent=other,
        purpose=purpose,
        round=round_,
        games=2 * (wins + losses),
        wins=2.0 * wins,
        scores=starts,
        rankings=rankings(me, other, 2 * wins, 2 * losses),
        play_seconds=1.0,
        node="n",
    )


def joined(node: str, present: bool = True) -> NodePresenceChanged:
    """A node is present, or left."""
    return NodePresenceChanged(
        node=node, present=present, left=not present, silent_seconds=0.0, processes=1
    )


def described(node: str) -> NodeDescribed:
    """A node says that it evaluates and plays."""
    return NodeDescribed(
        node=node,
        provider="own",
        accelerator="cpu-2",
        gpus=0,
        cores=2,
        vram_gib=0.0,
        cost_per_hour=0.0,
        kinds=("evaluation", "selfplay"),
        rented=False,
        version="1",
    )
