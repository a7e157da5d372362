"""Commands that explain recorded history."""

import contextlib
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import RenderableType

from ringrift.cli.common import (
    HERE,
    TABLE,
    Assignments,
    Moment,
    Session,
    Tabular,
    reading,
    seq_at,
    show,
    show_rows,
)
from ringrift.errors import CommandError
from ringrift.events import Contradiction, Settings
from ringrift.log.topology import EVENTS


async def why(
    event: str, /, *, svg: Path | None = None, depth: int | None = None, session: Session = HERE
) -> None:
    """Show the causes of an event, down to the games.

    Args:
        event: Sequence, position such as GAMES/7, id of an event, or digest of a network.
        svg: Also write the tree as a picture to this file.
        depth: Levels shown [default: all].
    """
    from ringrift.insight.why import causes

    async with reading(session, "searching the log") as (log, report):
        root = await causes.find(log, event, report)
        if root is None:
            forms = "a sequence such as 120, a position such as GAMES/7, the id of an event"
            remedy = f"give {forms}, or the digest of a network"
            raise CommandError(f"there is no event {event!r}: {remedy}")
        top = await causes.why(log, root, depth=depth, progress=report)
    picture = _written(svg, causes.causes_svg(top)) if svg else None
    show(causes.tree_document(top), session.json, *causes.tree_lines(top), picture)


async def lineage(
    model: str | None = None,
    /,
    *,
    node: str | None = None,
    games_of: Annotated[str | None, Parameter(metavar="MODEL")] = None,
    session: Tabular = TABLE,
) -> None:
    """Show the ancestors and descendants of a network.

    Args:
        model: Digest of a network, or at least its first 6 digits.
        node: Show the networks that learned from games of this node instead.
        games_of: Show the networks that learned from games of this network, or of `heuristic`.
    """
    from ringrift.insight.describe import short
    from ringrift.insight.models import model_lineage as feature

    if sum(value is not None for value in (model, node, games_of)) != 1:
        raise CommandError("give a network, or --node NODE, or --games-of MODEL")
    async with reading(session, "reading history") as (log, report):
        archive = await feature.Archive.open(log, report)
    if model is not None:
        found = archive.of(archive.model(model))
        show_rows(session, found, feature.lineage_rows(found), *feature.lineage_lines(found))
        return
    player = None if games_of is None else archive.player(games_of)
    rows = archive.exposed_to(node=node, player=player)
    text = feature.exposure_table(rows, short(player or node or ""))
    show_rows(session, {"models": rows}, rows, text)


async def at(point: Moment, projection: str | None = None, /, *, session: Session = HERE) -> None:
    """Show the system, or one part of it, as it was.

    Args:
        point: Sequence, time such as 2026-11-21T04:00, or age such as 10m.
        projection: ratings, generations, settings, pauses, or a decider [default: all].
    """
    from ringrift.insight import past

    async with reading(session, "folding history") as (log, report):
        seq = await seq_at(log, point)
        found = (await past.at(log, seq, projection, report)).document()
    show({"seq": seq, **found}, session.json, f"after EVENTS/{seq}", *past.past_lines(found))


async def diff(
    first: Moment, second: Moment, projection: str | None = None, /, *, session: Session = HERE
) -> None:
    """Show what changed between two points, and the events that changed it.

    Args:
        first: Sequence, time such as 2026-11-21T04:00, or age such as 10m.
        second: The later point.
        projection: As in `ringrift at`.
    """
    from ringrift.insight import past

    async with reading(session, "folding history") as (log, report):
        start, end = await seq_at(log, first), await seq_at(log, second)
        if start > end:
            raise CommandError(f"EVENTS/{start} is after EVENTS/{end}: swap them")
        found = await past.diff(log, start, end, projection, report)
    document = {"from": start, "to": end, "changes": found}
    heading = f"from EVENTS/{start} to EVENTS/{end}: {len(found)} changes"
    show(document, session.json, heading, *past.diff_lines(found))


async def verify(*, accept: bool = False, session: Session = HERE) -> int:
    """Look for what the log lost, and compare everything that follows from it with it.

    The exit status is 1 if something is lost or differs.

    Args:
        accept: Continue with this log: what it lost is not missed any more.
    """
    from ringrift.consumers.verification.whole import verify as compare

    async with reading(session, "verifying") as (log, report):
        found = await compare(log, report, accept=accept)
    show(found, session.json, *found.lines())
    return 0 if found.sound else 1


async def replay_elo(*, until: Moment | None = None, session: Tabular = TABLE) -> int:
    """Rebuild the rating tables from the log and compare them with the recorded ones.

    The exit status is 1 if one differs.

    Args:
        until: Rebuild them as they were at this sequence, time or age.
    """
    from ringrift.cluster.screen import ratings_table
    from ringrift.insight.rebuild import rebuild_elo

    async with reading(session, "replaying evaluations") as (log, report):
        last = None if until is None else await seq_at(log, until)
        rebuilt = await rebuild_elo(log, until=last, progress=report)
    texts: list[RenderableType] = []
    for item in rebuilt:
        texts.append(
            ratings_table(item.config, item.table.ratings, item.table.anchor, item.table.unrated)
        )
        texts.append(f"{item.table.games:,} games; {item.verdict}\n")
    nothing = "no evaluations in the log" + (" up to there" if until else "")
    known = [item.document() for item in rebuilt]
    rows = ({"config": one["config"], **row} for one in known for row in one["ratings"])
    show_rows(session, {"configs": known}, rows, *texts or [nothing])
    return 1 if any(item.identical is False for item in rebuilt) else 0


async def whatif(
    policy: str,
    /,
    *,
    set: Assignments = (),
    since: Moment | None = None,
    until: Moment | None = None,
    plot: Path | None = None,
    session: Session = HERE,
) -> None:
    """Show what another policy would have decided on recorded history.

    Args:
        policy: A decider, such as promotion, or a Python file with a DECIDER.
        set: A setting to change.
        since: Sequence, time or age to start from [default: the beginning].
        until: Sequence, time or age to end at [default: the end].
        plot: Draw the decisions over time to this file.
    """
    from ringrift.events.settings_sources import from_arguments, load
    from ringrift.insight.whatif import trial, whatif_report

    given = from_arguments(set)
    with contextlib.suppress(Contradiction):  # which depends on the settings in force
        load(given)  # refuses unknown settings before the log is read
    decider = trial.policy_named(policy)

    def retune(settings: Settings) -> Settings:
        return load(given, base=settings)

    async with reading(session, "replaying history") as (log, report):
        first = 0 if since is None else await seq_at(log, since)
        last = await (log.tail(EVENTS) if until is None else seq_at(log, until))
        span = {"since": first, "until": last}
        found = await trial.whatif(log, decider, retune, **span, progress=report)
    if plot:
        whatif_report.decisions_over_time(found, plot)
    show(whatif_report.whatif_document(found), session.json, *whatif_report.whatif_lines(found))


async def show_game(
    game: str,
    /,
    *,
    ply: int | None = None,
    svg: Path | None = None,
    format: Literal["board", "record"] = "board",
    session: Session = HERE,
) -> None:
    """Draw a position of a game, or print its record.

    Args:
        game: Id or position (GAMES/7) of a game in the log, or a file with a game record.
        ply: The position after this many plies [default: all].
        svg: Also write the position as a picture to this file.
        format: With `record`, print the whole game as text, which `ringrift import` reads.
    """
    from ringrift.insight.board.board_svg import svg as picture
    from ringrift.insight.board.drawing import text
    from ringrift.insight.board.recorded_game import RecordedGame, find_game
    from ringrift.rules import RulesError

    try:
        found = RecordedGame.read(game)
        if found is None:
            async with reading(session, "searching GAMES") as (log, report):
                found = await find_game(log, game, report)
        board = found.at(ply)
    except RulesError as error:
        raise CommandError(f"game {game}: {error}") from error
    written = _written(svg, picture(board)) if svg else None
    shown = found.text() if format == "record" else text(board)
    show(found.document(board), session.json, shown, written)


def _written(path: Path, picture: str) -> str:
    """Write a picture and return the line that reports it."""
    path.write_text(picture, encoding="utf-8")
    return f"picture: {path}"
