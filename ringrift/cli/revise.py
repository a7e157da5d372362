"""Commands that revise recorded games: exclude some, or search some again."""

from typing import Annotated, Literal

from cyclopts import Parameter

from ringrift.cli.common import HERE, Config, PositiveInt, Session, reading, show
from ringrift.cluster.steering import author
from ringrift.errors import CommandError
from ringrift.events.facts import IMPORTED_NODE
from ringrift.insight.describe import plural, short


async def retract(
    *,
    why: str,
    node: str | None = None,
    model: str | None = None,
    games: Annotated[str | None, Parameter(metavar="A..B|ID,...")] = None,
    source: str | None = None,
    config: Config | None = None,
    session: Session = HERE,
) -> None:
    """Exclude games from ratings and training.

    Args:
        why: The reason, recorded with the retraction.
        node: Games that this node played.
        model: Games in which this network played (first digits of its digest).
        games: Games from sequence A to B of GAMES, or games with these ids.
        source: Games and results of matches that `ringrift import --source` wrote under this name.
        config: Only games of this config [default: all].
    """
    import contextlib

    from ringrift.runtime import retract as feature

    if source:
        node = f"{IMPORTED_NODE}{source}"
    if not (node or model or games):
        ways = "--node NODE, --model DIGEST, --source NAME or --games A..B|ID,..."
        raise CommandError(f"select games: {ways}")
    asked = feature.Selection.of(games, node=node, model=model, config=config, why=why)
    async with reading(session, "reading history") as (log, report):
        results = []
        if source and not (model or games):
            results = await feature.retract_imported(log, source, config, why, author())
        found = []
        with contextlib.suppress(*[feature.NothingFound] if results else []):
            found = await feature.retract(log, asked, author(), report)
    lines = [
        f"{fact.config}: {plural(fact.games, 'imported result')} retracted" for fact in results
    ]
    for fact in found:
        matches = len(fact.scored_tickets) + len(fact.unscored_tickets)
        more = f", with {plural(matches, 'match', 'matches')}" if matches else ""
        lines.append(f"{fact.config}: {plural(fact.count, 'game')} retracted{more}")
    lines.append("running consumers update ratings, shards and the next window (`ringrift up`)")
    show({"retracted": found, "results": results}, session.json, "\n".join(lines))


async def reanalyse(
    *,
    config: Config,
    model: str = "current",
    games: PositiveInt = 256,
    simulations: PositiveInt | None = None,
    origin: Literal["selfplay", "import"] = "selfplay",
    session: Session = HERE,
) -> None:
    """Request that recorded games are searched again by a newer network.

    Running it again requests the games that are left. Imported games get their first targets so;
    where there is no network yet, the search with the handcrafted heuristic gives them.

    Args:
        config: Board and number of seats, such as hex8_2p.
        model: First digits of the digest of a network, `current`, or `heuristic` for none.
        games: Number of games, the newest first.
        origin: Games of self-play, or imported ones.
        simulations: Search budget per decision [default: that of self-play].
    """
    from ringrift.insight.reanalyse import reanalyse as request
    from ringrift.insight.strength.measurements import Measurements

    async with reading(session, "folding EVENTS") as (log, report):
        known = await Measurements.read(log, config, report)
        without = model == "heuristic" or (
            origin == "import" and model == "current" and known.view.current is None
        )
        digest = None if without else known.model(model)
        requests = await request(
            log,
            config,
            digest,
            games=games,
            simulations=simulations,
            source=author(),
            origin=origin,
        )
    count = sum(fact.games for fact in requests)
    searcher = short(digest) if digest else "the heuristic"
    text = f"no exported game of {config} is left to request from {searcher}"
    if count:
        what = plural(count, "game")
        text = f"{what} requested from {searcher}; running workers search them (`ringrift up`)"
    show({"model": digest, "games": count, "requests": requests}, session.json, text)
