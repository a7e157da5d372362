"""`ringrift export`: the log in the formats of other programs."""

from pathlib import Path

from ringrift.cli.common import HERE, Session, reading, show
from ringrift.cluster.terminal import complain
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
