"""`ringrift export`: the log in the formats of other programs."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ringrift.cli.common import HERE, Config, Moment, Session, reading, show
from ringrift.cluster.terminal import complain
from ringrift.insight.describe import plural
from ringrift.log import read
from ringrift.log.topology import EVENTS


async def tensorboard(*, output: Path, live: bool = False, session: Session = HERE) -> None:
    """Write losses, Elo, scores, games and quality as TensorBoard files.

    The files of an earlier export to the same folder are replaced. Look at them with
    `tensorboard --logdir DIR`.

    Args:
        output: Write to this folder, one run a config and one a training.
        live: Go on with new events until interrupted.
    """
    from ringrift.insight import tensorboard as feature

    async with reading(session, "reading the log") as (log, report):
        tail = await log.tail(EVENTS)
        with feature.Writers(output) as writers:
            events = read.facts(log, until=tail, progress=report)
            await feature.export(events, writers)
            document = {
                "points": writers.points,
                "runs": writers.runs,
                "replaced": writers.replaced,
            }
            text = f"{output}: {writers.points:,} points in {writers.runs} runs"
            if writers.replaced:
                text += f"; {writers.replaced} files of an earlier export were replaced"
            show(document, session.json, text)
            if live:
                complain("new events are written as they are stored; Ctrl-C ends")
                await feature.export(read.follow(log, after=tail), writers)


Format = Annotated[
    Literal["parquet", "npz", "jsonl"], Parameter(help="Form of the files; npz needs no pickle.")
]


async def games(
    *,
    output: Path,
    config: Config,
    format: Format = "parquet",
    since: Moment | None = None,
    session: Session = HERE,
) -> None:
    """Write the games of a config for other programs.

    The folder gets files of at most 2,000 games, a page that describes the columns, and a manifest.

    Args:
        output: Write to this folder, which must be new or empty.
        config: Board and number of seats, such as hex8_2p.
        since: Only games from this sequence of GAMES, or time, on.
    """
    await _export("games", output, config, format, since, session)


async def samples(
    *,
    output: Path,
    config: Config,
    format: Format = "parquet",
    since: Moment | None = None,
    session: Session = HERE,
) -> None:
    """Write the training samples of a config for other programs.

    They are the decisions in the shards in force: positions, policies over named moves, values.

    Args:
        output: Write to this folder, which must be new or empty.
        config: Board and number of seats, such as hex8_2p.
        since: Only shards that reach this sequence of GAMES, or were cut from this time on.
    """
    await _export("samples", output, config, format, since, session)


async def facts(
    *,
    output: Path,
    config: Config | None = None,
    format: Format = "parquet",
    since: Moment | None = None,
    session: Session = HERE,
) -> None:
    """Write the facts of EVENTS for other programs.

    Args:
        output: Write to this folder, which must be new or empty.
        config: Only facts about this config [default: all facts].
        since: Only facts from this sequence of EVENTS, or time, on.
    """
    await _export("facts", output, config, format, since, session)


async def _export(
    what: Literal["games", "samples", "facts"],
    output: Path,
    config: str | None,
    format: Literal["parquet", "npz", "jsonl"],
    since: int | datetime | None,
    session: Session,
) -> None:
    from ringrift.tools import export as feature

    async with reading(session, f"exporting {what}") as (log, report):
        manifest = await feature.export(
            log, what, output, config=config, format=format, since=since, progress=report
        )
    files = plural(len(manifest.parts), "file")
    text = (
        f"{output}: {manifest.rows:,} {what} in {files}, up to {manifest.stream}/{manifest.until}"
    )
    show(manifest, session.json, text)
