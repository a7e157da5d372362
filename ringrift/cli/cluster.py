"""`ringrift cluster init|certs|edge|join|grow|backup|restore|rescue|repair`: the files of a
cluster, and moving data onto one."""

from itertools import chain
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter, validators

from ringrift.cli.common import HERE, Json, PositiveInt, Session, Source, opened, show
from ringrift.cluster import files
from ringrift.cluster.belonging import claim
from ringrift.cluster.local import environment
from ringrift.cluster.nats_context import line_to_type
from ringrift.cluster.terminal import complain
from ringrift.insight.describe import plural
from ringrift.log.login import AUTHORITY, CREDENTIALS
from ringrift.log.object_store import ObjectStore
from ringrift.server.backup import damaged, load, names, prune, save
from ringrift.server.edge import LOGIN_FILE, ensure_edge, source_edge
from ringrift.server.grow import copy, live, set_replicas

Port: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gt=0, lte=65535))]
NO_USER = {CREDENTIALS: ""}
"""the environment for connections to embedded and edge servers, which have no users"""


def init(*, nodes: str, output: Path, no_users: bool = False, tls: bool = False) -> int:
    """Write the files of every voter, the keys of the operator and the credentials of people.

    Args:
        nodes: NAME=HOST[:PORT],... for 1, 3 or 5 voters.
        output: The folder for the files.
        no_users: Without keys and permissions: only behind a firewall.
        tls: Encrypt all connections, with a certificate authority of the cluster's own.
    """
    members = files.parse_nodes(nodes)
    voters = files.write_cluster(output, members, users=not no_users, tls=tls)
    for node in members:
        print(f"{output}/voters/{node.name}: copy it to {node.host}, {_START}")
    scheme = "tls" if tls else "nats"
    servers = ",".join(f"{scheme}://{voter.advertise}" for voter in voters)
    print(f"clients: RINGRIFT_SERVER={servers}")
    if not no_users:
        print(f"people:  {CREDENTIALS}={output}/credentials/ROLE.creds")
        print("nodes:   ringrift node admit NODE KEY --roles ROLE,...")
    if tls:
        print(f"         {AUTHORITY}={output}/authority/ca.pem")
    print(f"to look: {line_to_type(servers, f'ringrift context --cluster {output}')}")
    return 0


_START = "and run there, in that folder: ringrift voter check && nats-server -c nats.conf"


def certs(*, nodes: str, output: Path) -> None:
    """Issue new certificates for the voters of a cluster with TLS.

    Args:
        nodes: NAME=HOST[:PORT],... as given to `cluster init`.
        output: The folder that `cluster init --tls` wrote.
    """
    for node in files.parse_nodes(nodes):
        files.write_certificates(output, node.name, node.host)
        folder = f"{output}/voters/{node.name}/ops/tls"
        print(f"{folder}: copy it to {node.host}, then `systemctl reload ringrift-nats`")


def edge(
    *, name: str, key: str, nodes: str, output: Path, port: Port = 4222, tls: bool = False
) -> None:
    """Write the server of a node behind NAT, which keeps games while its link is down.

    Args:
        name: Name of the node.
        key: What `ringrift node key --make` prints there.
        nodes: NAME=HOST[:PORT],... as given to `cluster init`.
        output: The folder that `cluster init` wrote.
        port: Port of the server on the node's loopback address.
        tls: Connect to the voters with TLS.
    """
    hubs = [
        f"{node.host}:{node.port + files.LEAF_PORTS_ABOVE}" for node in files.parse_nodes(nodes)
    ]
    home = files.write_edge(output, name, hubs, key=key, port=port, tls=tls)
    print(f"{home}: copy it to {name}, run there: ringrift node key --complete {LOGIN_FILE}")
    print(_START)
    url = f"nats://127.0.0.1:{port}"
    print(f"then once: ringrift cluster join --name {name} --edge {url} --server VOTERS")


async def join(*, name: str, edge: str, source: Source = HERE) -> None:
    """Let the cluster fetch the games of a node's own server.

    Args:
        name: Name of the node, as given to `cluster edge`.
        edge: URL of the node's own server.
    """
    with environment(NO_USER):
        async with opened(Source(server=edge)) as buffer:
            await ensure_edge(buffer)
    async with opened(source) as log:
        added = await source_edge(log, name)
    print(f"GAMES {'fetches' if added else 'already fetches'} from {name}")


async def grow(
    *,
    replicas: PositiveInt = 3,
    origin: Annotated[str | None, Parameter(name="--from")] = None,
    source: Source = HERE,
) -> None:
    """Give every stream more replicas, after copying a single server onto a new cluster if asked.

    Args:
        replicas: Copies of every stream.
        origin: First copy all of this server, of this data directory, or of the cluster whose
            files are in this folder, as its operator; stop all writers before.
    """
    async with opened(source) as log:
        if origin:
            variables, place = _origin(origin)
            with environment(variables):
                async with opened(place) as old:
                    await copy(await live(old), log, replicas=replicas, report=complain)
        changed = await set_replicas(log, replicas, report=complain)
        await claim(log, copied=origin is not None)
    done = f"{len(changed)} streams changed" if changed else "nothing to do"
    print(f"{'copied' if origin else done}: every stream has {replicas} replicas, all current")


def _origin(origin: str) -> tuple[dict[str, str], Source]:
    """The log of a data directory, of a server or of a cluster, and the environment for it."""
    path = Path(origin)
    if not (path / "voters").is_dir():
        return NO_USER, Source(data=path) if path.is_dir() else Source(server=origin)
    return files.as_operator(path), Source(server=files.addresses(path, files.read_nodes(path)))


async def backup(*, to: str, keep: PositiveInt | None = None, session: Session = HERE) -> None:
    """Back up all streams while the cluster works: what no earlier backup there has.

    Args:
        to: A directory, or a URL such as s3://bucket/prefix.
        keep: Delete all but so many newest backups there.
    """
    async with opened(session) as log:
        made = await save(await live(log), to, report=complain)
    if keep is not None:
        await prune(to, keep)
    text = f"backup {made.name}: {made.new_bytes / 1e6:.1f} of {made.size_bytes / 1e6:.1f} MB new"
    show(made, session.json, f"{text}; restore it with: ringrift cluster restore --from {to}")


async def backups(*, at: str, check: bool = False, json: Json = False) -> int:
    """Show the finished backups at a place, the oldest first.

    Args:
        at: A directory, or a URL such as s3://bucket/prefix.
        check: Read every object of all backups; the exit status is 1 if one is damaged.
    """
    store = ObjectStore(at, create=False)
    found = await names(store)
    wrong = await damaged(store) if check else {}
    lines = [f"{name}: cannot be restored" if name in wrong else name for name in found]
    lines += [f"→ {text}: delete it" for text in sorted(set(chain(*wrong.values())))]
    lines += ["the next backup stores what was deleted again"] if wrong else []
    document = [{"name": name, "damaged": wrong.get(name, [])} for name in found]
    show(document if check else found, json, "\n".join(lines) or f"{at} holds no finished backup")
    return 1 if wrong else 0


async def restore(
    *,
    origin: Annotated[str, Parameter(name="--from")],
    backup: str | None = None,
    replicas: PositiveInt | None = None,
    source: Source = HERE,
) -> None:
    """Copy a backup onto a new server or cluster, which has no streams, or continue to do so.

    Args:
        origin: The directory or URL given to `cluster backup`.
        backup: One of `cluster backups`, by default the newest.
        replicas: Copies of every stream [default: 3 on a cluster, 1 on a single server].
    """
    found = await load(origin, backup)
    async with opened(source, create=True) as log:
        replicas = replicas or (3 if log.client.clustered else 1)
        await copy(found, log, replicas=replicas, report=complain)
        await claim(log, copied=True)
    print(f"restored: every stream has {plural(replicas, 'replica')}, all current")
