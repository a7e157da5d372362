"""`ringrift game replay`."""

from ringrift.cli.common import TABLE, PositiveInt, Tabular, reading, show, show_rows
from ringrift.insight.describe import plural, table


async def replay_game(
    game: str, /, *, search: bool = False, decisions: PositiveInt = 8, session: Tabular = TABLE
) -> int:
    """Play a recorded game again: do its moves, its result and its searches hold?

    The exit status is 1 if something does not hold.

    Args:
        game: Id or position (GAMES/7) of a game in the log.
        search: Also search decisions of the game again, with the network, budget and seed that it
            names.
        decisions: How many, chosen by the game's id.
    """
    from ringrift.insight.board.recorded_game import find_fact
    from ringrift.learning.models import model_of
    from ringrift.learning.shards import GameRejected, check_game
    from ringrift.log.blobs import Blobs
    from ringrift.log.topology import MODEL_BUCKET
    from ringrift.search.harness import Model
    from ringrift.trust.replay import holds, repeat, sampled

    async with reading(session, "searching GAMES") as (log, report):
        fact, meta = await find_fact(log, game, report)

        async def network(digest: str, config: str) -> Model:
            data = await Blobs(log).get(MODEL_BUCKET, digest)
            return model_of(data, digest=digest, config=config)

        document = {"game": fact.game, "position": meta.position, "plies": fact.plies}
        try:
            check_game(fact)
            plies = sampled(fact, decisions, "") if search else []
            found = await repeat(fact, plies, network)
        except GameRejected as error:
            show(document | {"holds": False, "why": str(error)}, session.json, f"fails: {error}")
            return 1
    held = holds(fact, found)
    rows = [
        (item.ply, item.token, item.found, f"{item.policy_distance:.3f}", item.verdict)
        for item in found
    ]
    columns = (">ply", "move", "searched again", ">policy differs by", "verdict")
    text = f"{fact.game}: {plural(fact.plies, 'move')} and the result hold"
    drawn = table(columns, rows, "decisions") if rows else None
    show_rows(session, document | {"holds": held, "decisions": found}, found, text, drawn)
    return 0 if held else 1
