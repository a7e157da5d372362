"""Games as honest and as lying workers write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from msgspec.structs import replace

from ringrift.events.facts import ConsumerStarted, GameCompleted, SelfplayPlanned
from ringrift.events.settings import Settings
from ringrift.events.tickets import SelfplayTicket, tickets_of
from ringrift.learning import targets
from ringrift.learning.models import model_of
from ringrift.learning.play import Host, play_games
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.rules import Config
from ringrift.search.harness import Model
from support.system import System

SIMULATIONS = 16
PLAN = SelfplayPlanned(
    config="hex8_2p",
    generation=1,
    games=12,
    games_per_ticket=12,
    simulations=SIMULATIONS,
    model=None,
    seed=5,
    settings_version=0,
)


@cache
def network(seed: int) -> tuple[str, bytes, Model]:
    """The digest, the bytes and the model of a random network."""
    net = build("v2-micro", hex_board=True, seed=seed)
    data = TowerCheckpoint.save(net, architecture="v2-micro", config=Config.parse("hex8_2p"))
    digest = digest_of(data)
    return digest, data, model_of(data, digest=digest, config="hex8_2p")


@cache
def played(plan: SelfplayPlanned = PLAN, *, position: str = "EVENTS/1") -> list[GameCompleted]:
    """The games of the only ticket of a plan, as an honest worker plays them."""
    (ticket,) = tickets_of(plan, position)
    assert isinstance(ticket, SelfplayTicket)
    models = {network(seed)[0]: network(seed)[2] for seed in (1, 2)} if plan.model else {}
    model = models[plan.model] if plan.model else None
    host = Host(node="liar", threads=1)
    return list(play_games(ticket, Settings().selfplay, host, model=model))


Forge = Callable[[GameCompleted], GameCompleted]


def illegal_move(game: GameCompleted) -> GameCompleted:
    """A move that the rules forbid."""
    first, second, *rest = game.moves.split()
    return replace(game, moves=" ".join([second, first, *rest]))


def wrong_result(game: GameCompleted) -> GameCompleted:
    """The loser wins."""
    return replace(game, winner=3 - game.winner, ranks=game.ranks[::-1])


def invented_targets(game: GameCompleted) -> GameCompleted:
    """Targets that no search gave: every policy and value turned round."""
    forged = [
        targets.Decision(one.ply, -one.values, one.indices, one.probabilities[::-1].copy())
        for one in targets.decode(game.targets)[1]
    ]
    return replace(game, targets=targets.encode(len(game.seats), forged))


def no_targets(game: GameCompleted) -> GameCompleted:
    """Random play, as an opening that never ends."""
    return replace(game, targets=targets.encode(len(game.seats), []))


def weaker_search(game: GameCompleted) -> GameCompleted:
    """A search with half the budget that it claims."""
    budget = PLAN.simulations // 2
    return _same_index(game, replace(PLAN, simulations=budget, model=game.seats[0].model))


def another_network(game: GameCompleted) -> GameCompleted:
    """The games of an older network."""
    few = replace(PLAN, games=3, games_per_ticket=3)
    return _same_index(game, replace(few, model=network(2)[0]))


def copied(game: GameCompleted) -> GameCompleted:
    """A game that was played for another plan."""
    return _same_index(game, replace(PLAN, seed=6, model=game.seats[0].model))


def _same_index(game: GameCompleted, plan: SelfplayPlanned) -> GameCompleted:
    index = int(game.game.rpartition("-")[2])
    made = next(one for one in played(plan) if one.game.endswith(f"-{index}"))
    return replace(made, game=game.game, ticket=game.ticket, seats=game.seats, seed=game.seed)


FORGERIES: tuple[Forge, ...] = (
    illegal_move,
    wrong_result,
    invented_targets,
    no_targets,
    weaker_search,
    another_network,
    copied,
)


async def write(
    system: System,
    node: str,
    forge: Forge | None = None,
    *,
    plan: SelfplayPlanned = PLAN,
    which: Sequence[int] | None = None,
) -> list[GameCompleted]:
    """Write a plan and its games by a node, some or all of them forged."""
    started = ConsumerStarted(node=node, consumer="selfplay", instance=node, version="1")
    await system.write(started)
    position = f"EVENTS/{await system.write(plan)}"
    (ticket,) = tickets_of(plan, position)
    written = []
    for number, honest in enumerate(sorted(played(plan), key=lambda one: _index(one))):
        forged = forge(honest) if forge and (which is None or number in which) else honest
        game = replace(forged, game=f"{ticket.ticket}-{number}", ticket=ticket.ticket, node=node)
        item = system.writer.draft(game, cause=position, key=game.game)
        await system.log.append([item])
        written.append(game)
    return written


def _index(game: GameCompleted) -> int:
    return int(game.game.rpartition("-")[2])
