"""A game that was played as recorded is found so when it is searched again; a forged one is not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from msgspec.structs import replace

from ringrift.events.facts import GameCompleted, SelfplayPlanned
from ringrift.events.settings import SelfplaySettings
from ringrift.events.tickets import SelfplayTicket, tickets_of
from ringrift.learning import targets
from ringrift.learning.models import model_of
from ringrift.learning.play import Host, play_games
from ringrift.learning.shards import GameRejected
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.rules import Config
from ringrift.search.harness import Model
from ringrift.trust.replay import Repeated, holds, repeat, sampled

GAMES, SIMULATIONS = 2, 16
SETTINGS = SelfplaySettings(noise_plies=10, considered=8)


@cache
def network(seed: int) -> tuple[str, Model]:
    net = build("v2-micro", hex_board=True, seed=seed)
    config = Config.parse("hex8_2p")
    data = TowerCheckpoint.save(net, architecture="v2-micro", config=config)
    digest = digest_of(data)
    return digest, model_of(data, digest=digest, config="hex8_2p")


async def models(digest: str, config: str) -> Model:
    return dict(map(network, (1, 2)))[digest]


@cache
def played(
    seed: int | None = None, simulations: int = SIMULATIONS, games: int = GAMES
) -> list[GameCompleted]:
    """Games by a random network, or by the heuristic without a seed."""
    digest, model = network(seed) if seed else (None, None)
    plan = SelfplayPlanned(
        config="hex8_2p",
        generation=1,
        games=games,
        games_per_ticket=games,
        simulations=simulations,
        model=digest,
        seed=5,
        settings_version=1,
    )
    (ticket,) = tickets_of(plan, "EVENTS/7")
    assert isinstance(ticket, SelfplayTicket)
    return list(play_games(ticket, SETTINGS, Host(node="n", threads=1), model=model))


def all_plies(game: GameCompleted) -> list[int]:
    return [decision.ply for decision in targets.decode(game.targets)[1]]


async def again(game: GameCompleted, threads: int = 1) -> list[Repeated]:
    return await repeat(game, all_plies(game), models, threads=threads)


def agreement(found: list[Repeated]) -> float:
    """The share of decisions that agree within the tolerance."""
    return sum(item.agrees for item in found) / len(found)


@pytest.mark.parametrize("threads", [1, 2])
async def test_without_a_network_every_decision_is_equal_bit_for_bit(threads: int) -> None:
    for game in played():
        found = await again(game, threads)
        assert [item.ply for item in found] == all_plies(game)
        assert all(item.verdict == "equal" for item in found)
        assert holds(game, found)


async def test_with_a_network_nearly_every_decision_agrees() -> None:
    """All decisions of a game at once make other batches than those of its play."""
    for game in played(1):
        found = await again(game)
        assert holds(game, found)
        assert agreement(found) > 0.9
        assert sum(item.equal for item in found) > len(found) / 2


async def test_another_network_does_not_agree() -> None:
    for game in played(1):
        seats = tuple(replace(seat, model=network(2)[0]) for seat in game.seats)
        assert not holds(game, await again(replace(game, seats=seats)))


async def test_a_weaker_search_does_not_agree() -> None:
    for game in played(simulations=2):
        seats = tuple(replace(seat, simulations=SIMULATIONS) for seat in game.seats)
        found = await again(replace(game, seats=seats))
        assert not holds(game, found)


async def test_targets_that_are_not_of_the_search_do_not_agree() -> None:
    (game, *_) = played()
    forged = [
        targets.Decision(one.ply, -one.values, one.indices, one.probabilities[::-1].copy())
        for one in targets.decode(game.targets)[1]
    ]
    found = await again(replace(game, targets=targets.encode(2, forged)))
    assert not any(item.equal for item in found)


async def test_a_move_that_another_seed_chose_is_found() -> None:
    (game, *_) = played()
    found = await again(replace(game, seed=game.seed + 1))
    assert not all(item.equal for item in found)


async def test_a_game_with_another_end_is_refused() -> None:
    (game, *_) = played()
    with pytest.raises(GameRejected):
        await again(replace(game, winner=3 - game.winner, ranks=game.ranks[::-1]))


def test_a_sample_follows_from_its_seed() -> None:
    (game, *_) = played()
    chosen = sampled(game, 3, "EVENTS/9")
    assert chosen == sampled(game, 3, "EVENTS/9") == sorted(chosen)
    assert len(chosen) == 3
    assert chosen != sampled(game, 3, "EVENTS/10")
    assert sampled(game, 10_000, "x") == all_plies(game)
    assert np.isin(chosen, all_plies(game)).all()
