"""Which networks learned from retracted games, and which games a retraction covers."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from support.retraction_facts import (
    CONFIG,
    S0,
    S1,
    S2,
    A,
    B,
    C,
    D,
    names,
    registered,
    requested,
    retracts,
    shard,
)
from support.story import Story

from ringrift.deciders.loop import retraction
from ringrift.deciders.loop.retraction import covers
from ringrift.events import Fact
from ringrift.events.facts import GameCompleted, ModelAdopted, Seat, ShardRetired


class Log:
    """Feeds the decider events that have causes; its decisions are folded at theirs."""

    def __init__(self) -> None:
        self.story = Story(retraction.DECIDER)

    def put(self, event: Fact, cause: str | None = None) -> tuple[Fact, ...]:
        self.position = f"EVENTS/{self.story.seq + 1}"
        return self.story.when(event, cause).decided

    @property
    def state(self) -> Any:
        return self.story.state

    def train(self, model: str, *shards: str, parents: tuple[str, ...] = ()) -> tuple[Fact, ...]:
        self.put(requested(*shards))
        return self.put(registered(model, *parents), self.position)


def three_networks() -> Log:
    """A saw the first shard, B began from A and saw the second, C began from nothing and saw the
    second."""
    log = Log()
    log.put(shard(0, S0))
    log.train(A, S0)
    log.put(shard(1, S1))
    log.train(B, S1, parents=(A,))
    log.train(C, S1)
    return log


def test_networks_trained_on_the_shard_and_their_descendants_are_tainted() -> None:
    log = three_networks()
    assert names(log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")) == [
        (A, False, None),
        (B, True, None),
    ]


def test_a_second_shard_of_a_retraction_taints_no_network_again() -> None:
    log = three_networks()
    log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")
    assert names(log.put(shard(1, D, supersedes=S1, retracted=1), "EVENTS/90")) == [
        (C, False, None)
    ]


def test_a_later_retraction_taints_again() -> None:
    log = three_networks()
    log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")
    assert [
        model for model, *_ in names(log.put(shard(0, D, supersedes=S2, retracted=4), "EVENTS/95"))
    ] == [A, B]


def test_the_nearest_clean_ancestor_is_named() -> None:
    log = three_networks()
    assert names(log.put(shard(1, S2, supersedes=S1, retracted=3), "EVENTS/90")) == [
        (B, False, A),
        (C, False, None),
    ]


def test_a_shard_with_new_targets_taints_no_network() -> None:
    assert three_networks().put(shard(0, S2, supersedes=S0), "EVENTS/90") == ()


def test_a_network_in_training_is_tainted_when_registered() -> None:
    log = three_networks()
    log.put(requested(S0, S1))
    position = log.position
    log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")
    assert names(log.put(registered(D), position)) == [(D, False, None)]


def test_a_network_trained_afterwards_is_clean_if_its_parent_is() -> None:
    log = three_networks()
    log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")
    assert log.train("e" * 64, S2, S1, parents=(C,)) == ()
    assert names(log.train(D, S2, S1, parents=(A,))) == [(D, True, None)]


def test_a_network_trained_on_other_games_is_clean() -> None:
    log = three_networks()
    assert C not in {
        model for model, *_ in names(log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90"))
    }


def test_a_network_without_a_known_training_is_not_tainted() -> None:
    log = three_networks()
    log.put(registered(D), "EVENTS/77")
    assert D not in {
        model for model, *_ in names(log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90"))
    }


def test_a_retired_shard_still_taints_its_networks() -> None:
    log = three_networks()
    log.put(ShardRetired(config=CONFIG, digest=S0, index=0, why="w", settings_version=1))
    assert [
        model for model, *_ in names(log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90"))
    ] == [A, B]


def test_configs_are_tainted_independently() -> None:
    other = replace(shard(0, S2, supersedes=S0, retracted=3), config="square8_2p")
    assert three_networks().put(other, "EVENTS/90") == ()


def test_networks_are_tainted_where_they_were_adopted_too() -> None:
    log, large = three_networks(), "hexagonal_2p"
    adopted = ModelAdopted(
        config=large,
        origin=CONFIG,
        model=A,
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(),
        why="w",
        settings_version=1,
    )
    log.put(adopted)
    log.put(replace(registered(S1, A), config=large))
    found = log.put(shard(0, S2, supersedes=S0, retracted=3), "EVENTS/90")
    assert [(fact.config, fact.model, fact.inherited) for fact in found] == [
        *((CONFIG, A, False), (CONFIG, B, True)),
        *((large, A, False), (large, S1, True)),
    ]
    assert [fact.clean_ancestor for fact in found] == [None] * 4


def test_a_retraction_covers_games_by_range_node_model_and_id() -> None:
    seat = Seat(participant="x", harness="gumbel", simulations=1, model=A)
    game = GameCompleted(
        game="g1",
        config=CONFIG,
        origin="selfplay",
        ticket="t",
        seats=(seat, seat),
        pie=False,
        seed=1,
        moves="",
        plies=0,
        winner=1,
        reason="r",
        ranks=(1, 2),
        removed=(0, 0),
        territory=(0, 0),
        targets=b"",
        rules_version=1,
        play_seconds=0.0,
        node="n1",
        settings_version=1,
    )
    assert covers(retracts(), game, 64)
    assert not covers(retracts(), game, 65)
    assert covers(retracts(node="n1", model=A, games=("g1",)), game, 1)
    for other in ({"node": "n2"}, {"model": B}, {"games": ("g2",)}, {"config": "hex8_3p"}):
        assert not covers(retracts(**other), game, 1)
