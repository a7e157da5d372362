"""Games that a plan asks for, as its workers write them."""

from __future__ import annotations

from msgspec.structs import replace

from ringrift.events.facts import ConsumerStarted, GameCompleted
from support.system import PLAN, System


async def write_requested(system: System, *games: GameCompleted) -> list[GameCompleted]:
    """Write a plan, a worker on each node, and the games under the ids of the plan's ticket, in
    their order; the games as they were written."""
    for node in dict.fromkeys(game.node for game in games):
        started = ConsumerStarted(node=node, consumer="selfplay", instance=node, version="1")
        await system.write(started)
    plan = await system.write(replace(PLAN, games=len(games), games_per_ticket=len(games)))
    cause, ticket = f"EVENTS/{plan}", f"selfplay-events-{plan}-0"
    asked = [
        replace(game, game=f"{ticket}-{number}", ticket=ticket) for number, game in enumerate(games)
    ]
    for game in asked:
        await append(system, game, cause)
    return asked


async def append(system: System, game: GameCompleted, cause: str | None, key: str = "") -> None:
    """Write a game with a cause, under an id of its own."""
    tail = await system.log.tail("GAMES")
    await system.log.append([system.writer.draft(game, cause=cause, key=f"{tail}{key}")])
