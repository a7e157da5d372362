"""`ringrift context`: a context of the `nats` command line."""

from pathlib import Path

from ringrift.cli.common import HERE, Session, show
from ringrift.cluster import nats_context
from ringrift.errors import CommandError
from ringrift.server.address import find_server


async def context(
    *,
    name: str = nats_context.USUAL_NAME,
    cluster: Path | None = None,
    role: str | None = None,
    session: Session = HERE,
) -> None:
    """Write a context of the `nats` command line, which names this log's server.

    Without --cluster it has the user and authority of the environment, as commands have.

    Args:
        name: Name of the context; one of this name is replaced.
        cluster: The folder that `cluster init` wrote.
        role: The user of that cluster [default: oncall].
    """
    if cluster is not None:
        found = nats_context.of_cluster(cluster, role or "oncall")
    elif role is not None:
        raise CommandError("--role needs --cluster: the credentials of roles are there")
    else:
        server = session.server or await find_server(session.data)
        found = nats_context.of_environment(server)
    path = nats_context.write(name, found)
    look = nats_context.LOOK.get(found.user, nats_context.VIEW)
    line = f"nats --context {name} {look}"
    known = {"context": name, "file": path, "url": found.url, "user": found.user}
    show(known, session.json, f"{path}: {found.url}", line)
