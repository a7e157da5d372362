"""`ringrift import`: data of the system before this one."""

from pathlib import Path

from rich.table import Table

from ringrift.cli.common import HERE, Config, Session, opened, progress, show
from ringrift.cluster.steering import author
from ringrift.insight.describe import plural


async def games(
    *paths: Path,
    dry_run: bool = False,
    config: tuple[Config, ...] = (),
    source: str | None = None,
    report: Path | None = None,
    session: Session = HERE,
) -> int:
    """Import games of the old system, and records of `ringrift game show --format record`.

    Databases of every version, JSONL plain or gzip, whole directories. Each game is replayed by our
    rules. Nothing is written to the sources, and what is stored already is not stored again.

    Args:
        paths: Files and directories.
        dry_run: Only judge the games; no server is needed.
        config: Only games of this config; may be given several times.
        source: Name of the source, for `ringrift retract --source` [default: that of the path].
        report: Write every game that is not stored to this file, a JSON object a line.
    """
    import contextlib

    from ringrift.legacy.importing import import_games, source_name
    from ringrift.server.ensure import ensure

    name = source or source_name(paths[0]) if paths else ""
    async with contextlib.AsyncExitStack() as leaving:
        log = None if dry_run else await leaving.enter_async_context(opened(session, create=True))
        if log is not None:
            await ensure(log, replicas=None)
        file = leaving.enter_context(report.open("w", encoding="utf-8")) if report else None
        shown = leaving.enter_context(progress("importing (bytes)"))
        found = await import_games(
            log,
            paths,
            source=name,
            author=author(),
            configs=frozenset(config),
            report=file,
            progress=shown,
        )
    table = Table("class", "games", title=None)
    for kind, count in found.games.most_common():
        table.add_row(kind, f"{count:,}")
    lines = [f"{one.file}: {one.problem}" for one in found.files if one.problem]
    stored = sum(found.stored.values())
    verb = "would be stored" if dry_run else "stored"
    lines.append(f"{plural(stored, 'game')} {verb} from source {name}")
    if found.conflicts:
        lines.append(f"{plural(found.conflicts, 'game')} with an id of another game (both count)")
    if rated := sum(found.rated.values()):
        lines.append(f"{plural(rated, 'result')} of matches {verb}, rated as `legacy:...`")
    if count := sum(found.games.values()):
        speed = f"{count / found.seconds:,.0f} games per second of one core"
        lines.append(f"{plural(count, 'game')} judged, {speed}")
    if report:
        lines.append(f"the others: {report}")
    show(found, session.json, table if found.games else None, "\n".join(lines))
    return 0
