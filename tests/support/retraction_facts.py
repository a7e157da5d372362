"""Facts around a retraction of games, for the tests of its effects."""

from __future__ import annotations

from typing import Any

from ringrift.events import Fact
from ringrift.events.facts import (
    GamesRetracted,
    ModelRegistered,
    ModelTainted,
    SelfplayFinished,
    SelfplayPlanned,
    ShardExported,
    TrainingRequested,
)
from ringrift.events.settings import TrainingSettings
from support.loop_facts import fresh

CONFIG = "hex8_2p"


A, B, C, D = (letter * 64 for letter in "abcd")


S0, S1, S2 = (f"{number}" * 64 for number in "012")


def shard(
    index: int,
    digest: str,
    *,
    supersedes: str | None = None,
    retracted: int = 0,
    samples: int = 3000,
) -> ShardExported:
    return ShardExported(
        config=CONFIG,
        encoder="e",
        index=index,
        first_seq=1 + 64 * index,
        last_seq=64 + 64 * index,
        games=64,
        samples=samples,
        rejected=0,
        digest=digest,
        size_bytes=1,
        supersedes=supersedes,
        retracted=retracted,
    )


def requested(*shards: str, generation: int = 1) -> TrainingRequested:
    return TrainingRequested(
        config=CONFIG,
        generation=generation,
        architecture="v2-micro",
        parent=None,
        shards=shards,
        samples=1,
        seed=1,
        reason="r",
        settings_version=1,
    )


def registered(
    model: str, *parents: str, generation: int = 1, architecture: str = "v2-micro"
) -> ModelRegistered:
    return ModelRegistered(
        config=CONFIG,
        model=model,
        generation=generation,
        architecture=architecture,
        encoder="e",
        parameters=1,
        parents=parents,
        ticket="t",
    )


def retracts(**changes: Any) -> GamesRetracted:
    return GamesRetracted(
        **{
            "config": CONFIG,
            "first_seq": 1,
            "last_seq": 64,
            "count": 3,
            "why": "bad disk",
            **changes,
        }
    )


def names(facts: tuple[Fact, ...]) -> list[tuple[str, bool, str | None]]:
    return [
        (fact.model, fact.inherited, fact.clean_ancestor)
        for fact in facts
        if isinstance(fact, ModelTainted)
    ]


def tainted(model: str, clean_ancestor: str | None = None) -> ModelTainted:
    return ModelTainted(
        config=CONFIG,
        model=model,
        generation=1,
        retraction="EVENTS/5",
        inherited=False,
        clean_ancestor=clean_ancestor,
    )


def ready(settings_changed: Any, games: int = 64, **settings: Any) -> tuple[Fact, ...]:
    """Facts that make a training due, but for the shards of `games` games."""
    plan = SelfplayPlanned(
        config=CONFIG,
        generation=0,
        games=games,
        games_per_ticket=64,
        simulations=1,
        model=None,
        seed=1,
        settings_version=1,
    )
    done = SelfplayFinished(
        config=CONFIG,
        generation=0,
        ticket=fresh(),
        games=games,
        plies=1,
        play_seconds=1.0,
        node="n",
    )
    return settings_changed(training=TrainingSettings(min_samples=100, **settings)), plan, done
