"""`ringrift contract` and `ringrift metrics`: files of the repository that are written from
declarations in the code."""

from pathlib import Path

from ringrift.cli.common import (
    HERE,
    TABLE,
    Form,
    PositiveInt,
    Session,
    Source,
    opened,
    show,
    show_rows,
)
from ringrift.cluster import accounts, monitoring
from ringrift.cluster.belonging import claim
from ringrift.cluster.files import NEW_FILE
from ringrift.cluster.terminal import complain
from ringrift.errors import CommandError
from ringrift.insight.process_tables import tables
from ringrift.log.login import beside
from ringrift.runtime.metrics import METRICS
from ringrift.server import contract
from ringrift.server.ensure import ensure
from ringrift.server.grow import set_replicas
from ringrift.trust import admission

EXIT_DIFFERENT = 1
ROOT = Path(".")


def export(*, root: Path = ROOT) -> None:
    """Write the definitions of streams, consumers, events and servers to the repository.

    Args:
        root: Root of the repository.
    """
    _require_root(root)
    for path in contract.export(root, tables(), _engine_schemas()):
        print(f"{'written' if (root / path).exists() else 'removed'}  {path}")


async def check(*, root: Path = ROOT, server: str | None = None) -> int:
    """Compare the definitions in the repository with the code, or with those of a server.

    The exit status is 1 if a file is out of date, or the server differs.

    Args:
        root: Root of the repository; with --server, any folder with streams/ and consumers/.
        server: URL of the server that is compared with the files.
    """
    if server is not None:
        return await _check_server(root, server)
    _require_root(root)
    outdated = contract.check(root, tables(), _engine_schemas())
    for path in outdated:
        print(f"{path} is out of date")
    print("run `ringrift contract export` and commit" if outdated else "all files are up to date")
    return EXIT_DIFFERENT if outdated else 0


async def _check_server(root: Path, server: str) -> int:
    if not (root / "streams").is_dir():
        raise CommandError(f"{root / 'streams'} does not exist: name the folder above it as --root")
    async with opened(Source(server=server)) as log:
        try:
            found = await contract.check_server(root, log)
        except ValueError as error:
            raise CommandError(f"{root}: {error}") from error
    print("\n".join(found) or f"the server has what {root} declares")
    return EXIT_DIFFERENT if found else 0


async def apply(
    *, replicas: PositiveInt | None = None, new: bool = False, session: Session = HERE
) -> int:
    """Create missing streams and consumers on a server, and give roles the rights of this program.

    A cluster without any gets them once: `ringrift cluster init` leaves a mark beside the
    credentials, and on a cluster without users --replicas says that it is new. The exit status is
    1 if one differs from its declaration.

    Args:
        replicas: Give every stream this many copies [default: unchanged].
        new: The cluster is new, although there is no such mark.
    """
    mark = beside(NEW_FILE)
    new = new or (mark.is_file() if mark else replicas is not None)
    async with opened(session) as log:
        if replicas is not None:
            await set_replicas(log, replicas, report=complain)
        drift = await ensure(log, replicas=replicas, new=new)
        await admission.record_rights(log)
        await accounts.send_rights(log.servers)
        await claim(log, copied=new)
    lines = [f"differs from its declaration: {item}" for item in drift]
    remedy = "change it with `nats stream edit` or `nats consumer edit`"
    lines.append(remedy if drift else "all streams, buckets and consumers are as declared")
    show({"drift": drift}, session.json, "\n".join(lines))
    return EXIT_DIFFERENT if drift else 0


def list_metrics(*, form: Form = TABLE) -> None:
    """List every metric with its labels and its meaning."""
    found = METRICS.values()
    rows = [
        {"name": it.name, "type": it.type, "labels": it.labels, "help": it.help} for it in found
    ]
    cells = ((it.type, f"{it.name}{{{','.join(it.labels)}}}", it.help) for it in found)
    lines = [f"{type:<9}  {name.removesuffix('{}')}  {help}" for type, name, help in cells]
    show_rows(form, rows, rows, "\n".join(lines))


def export_monitoring(*, root: Path = ROOT) -> None:
    """Write the Grafana dashboard to the repository.

    Args:
        root: Root of the repository.
    """
    _require_root(root)
    for path in monitoring.export(root):
        print(f"written  {path}")


def check_monitoring(*, root: Path = ROOT) -> int:
    """Compare the alert rules and the Grafana dashboard with the metrics.

    The exit status is 1 if one does not fit.

    Args:
        root: Root of the repository.
    """
    _require_root(root)
    found = monitoring.problems(root)
    print("\n".join(found) or "all files are up to date")
    return EXIT_DIFFERENT if found else 0


def _engine_schemas() -> dict[str, str]:
    from ringrift.analysis.messages import schemas

    return schemas()


def _require_root(root: Path) -> None:
    if not (root / "pyproject.toml").is_file():
        raise CommandError(
            f"{root.resolve()} is not the root of the repository: run this there, or give --root"
        )
