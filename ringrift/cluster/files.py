"""The files of a cluster: of each voter, of its users and certificates, and of edge servers.

DIR/voters/<name>/nats.conf          the file of the repository
DIR/voters/<name>/ops/voter.conf     what is specific to the voter; also users.conf, tls/ and
                                     identity.json, see `ringrift.server.voter`
DIR/credentials/<role>.creds         logins of people, for RINGRIFT_CREDENTIALS
DIR/credentials/new                  until `ringrift contract apply` has created the streams
DIR/nodes/<node>.creds               logins of nodes, written by `ringrift node admit`
DIR/nats/                            the operator's keys, see `ringrift.server.accounts`
DIR/streams/, DIR/consumers/         for `nats stream add --config`, with the cluster's replicas
DIR/authority/ca.pem, ca.key         the certificate authority; the key never leaves this machine
DIR/route.txt                        with which voters connect to each other

When the files are written again, for more voters, keys and authority are kept.
"""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ringrift.cluster.certificates import make_authority, make_server
from ringrift.errors import CommandError
from ringrift.log.login import AUTHORITY, CREDENTIALS, SERVER
from ringrift.runtime.processes import AUTHORS
from ringrift.server import configuration as conf
from ringrift.server.accounts import Accounts, write_secret
from ringrift.server.contract import definitions
from ringrift.server.edge import LOGIN_FILE, edge_conf
from ringrift.server.ensure import CLUSTER_REPLICAS
from ringrift.server.roles import PEOPLE, roles
from ringrift.server.voter import Made, new_cluster, read_made, write_made

NEW_FILE = "new"
ROUTE_PORTS_ABOVE, LEAF_PORTS_ABOVE, MONITOR_PORTS_ABOVE = 2000, 3200, 4000
"""distance of a server's other ports from its client port: 4222 goes with 6222, 7422 and 8222"""
PORT_MAX = 65535 - MONITOR_PORTS_ABOVE
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")


class Node(Struct, frozen=True):
    """A voter as the operator names it."""

    name: str
    host: str
    port: int = conf.DEFAULT_PORT

    @property
    def route(self) -> str:
        """The address at which other voters reach it."""
        return f"{self.host}:{self.port + ROUTE_PORTS_ABOVE}"


def parse_nodes(text: str) -> list[Node]:
    """The voters of `NAME=HOST[:PORT],...`. Raises CommandError."""
    nodes = parse_members(text)
    if len(nodes) not in (1, 3, 5):
        raise CommandError(
            f"{len(nodes)} voters: give 1, 3 or 5; an even number tolerates no more losses than "
            "one less"
        )
    return nodes


def parse_members(text: str) -> list[Node]:
    """Some voters of a cluster, as `parse_nodes` takes them. Raises CommandError."""
    nodes = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, address = part.partition("=")
        found = _ADDRESS.fullmatch(address)
        port = int(found["port"] or conf.DEFAULT_PORT) if found else 0
        if not _NAME.fullmatch(name) or not found or not 0 < port <= PORT_MAX:
            raise CommandError(
                f"{part!r} is not a voter: write NAME=HOST or NAME=HOST:PORT, NAME in lower case, "
                f"an IPv6 address in brackets, PORT up to {PORT_MAX}"
            )
        nodes.append(Node(name, found["host"], port))
    names = {node.name for node in nodes}
    addresses = {(node.host, node.port) for node in nodes}
    if min(len(names), len(addresses)) < len(nodes):
        raise CommandError("two voters have the same name or address")
    return nodes


def write_cluster(
    folder: Path, nodes: Sequence[Node], *, users: bool, tls: bool
) -> list[conf.Voter]:
    """Write the files of a cluster and return its voters; one node alone is a single server. Raises
    CommandError."""
    if users:
        refuse_passwords(folder)
    voters, new = _voters(folder, nodes, users=users, tls=tls), not (folder / "voters").exists()
    write_voters(folder, voters, {node.name: node.host for node in nodes})
    if new and users:
        (folder / "credentials" / NEW_FILE).touch()
    for path, text in definitions(min(len(nodes), CLUSTER_REPLICAS)).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    return voters


def write_members(folder: Path, nodes: Sequence[Node], added: Sequence[Node]) -> list[conf.Voter]:
    """Write the files of voters that are added to a cluster, and the routes to them of the others,
    and return all voters. Raises CommandError."""
    refuse_passwords(folder)
    users = Accounts(folder).exist
    tls = (folder / "authority" / "ca.pem").exists()
    voters = _voters(folder, nodes, users=users, tls=tls)
    names = {node.name for node in added}
    hosts = {node.name: node.host for node in nodes}
    write_voters(folder, [voter for voter in voters if voter.name in names], hosts)
    for voter in voters:
        if voter.name not in names:
            home = folder / "voters" / voter.name
            made = read_made(home)
            own = replace(voter, cluster=made.cluster if made else "")
            write_secret(home / conf.VOTER_FILE, conf.voter_conf(own))
    return voters


def read_nodes(folder: Path) -> list[Node]:
    """The voters whose files are in `folder`. Raises CommandError."""
    found = []
    for path in sorted((folder / "voters").glob(f"*/{conf.VOTER_FILE}")):
        settings = msgspec.json.decode(path.read_bytes())
        host, _, port = str(settings.get("client_advertise", "")).rpartition(":")
        found.append(Node(str(settings["server_name"]), host, int(port or 0)))
    if not found:
        raise CommandError(f"{folder} has no voters: name the folder of `ringrift cluster init`")
    return found


def addresses(folder: Path, nodes: Iterable[Node]) -> str:
    """The addresses of voters of a cluster, for `--server`."""
    scheme = "tls" if (folder / "authority" / "ca.pem").exists() else "nats"
    return ",".join(f"{scheme}://{node.host}:{node.port}" for node in nodes)


def as_operator(folder: Path) -> dict[str, str]:
    """The environment of a client of a cluster with all rights. Raises CommandError."""
    authority = folder / "authority" / "ca.pem"
    # the second in a cluster with passwords
    logins = [folder / "credentials" / name for name in ("operator.creds", "operator.txt")]
    found = [str(path) for path in logins if path.exists()]
    if not found:
        raise CommandError(f"{folder} has no credentials of an operator")
    return {CREDENTIALS: found[0]} | ({AUTHORITY: str(authority)} if authority.exists() else {})


def _voters(folder: Path, nodes: Sequence[Node], *, users: bool, tls: bool) -> list[conf.Voter]:
    password = None
    if users:
        fresh = f"pw-{secrets.token_urlsafe(32)}"
        password = _kept(folder / "route.txt", fresh)
    voters = []
    for node in nodes:
        others = tuple(other.route for other in nodes if other != node)
        voter = conf.Voter(
            name=node.name,
            host=_listening(node.host),
            port=node.port,
            advertise=f"{node.host}:{node.port}",
            monitor_port=node.port + MONITOR_PORTS_ABOVE,
            route_port=node.port + ROUTE_PORTS_ABOVE,
            users=users,
            tls=tls,
            routes=others,
            route_advertise=node.route if others else None,
            route_password=password if others else None,
            leaf_port=node.port + LEAF_PORTS_ABOVE if users else None,
        )
        voters.append(voter)
    return voters


def _listening(host: str) -> str:
    """The address at which a voter listens that others reach as `host`."""
    if host.startswith("["):
        return "[::1]" if ip_address(host.strip("[]")).is_loopback else "[::]"
    return "127.0.0.1" if host in ("127.0.0.1", "localhost") else "0.0.0.0"


def write_voters(folder: Path, voters: Sequence[conf.Voter], hosts: Mapping[str, str]) -> None:
    """Write the folders of the voters and the credentials of roles. `hosts` are the addresses at
    which the voters are reached. Raises CommandError."""
    made = _made(folder, voters)
    users = conf.as_json(_accounts(folder) if any(voter.users for voter in voters) else {})
    for voter in voters:
        home = folder / "voters" / voter.name
        (home / "ops").mkdir(parents=True, exist_ok=True)
        (home / "nats.conf").write_text(conf.SHIPPED_CONF)
        own = replace(voter, cluster=made[voter.name].cluster)
        write_secret(home / conf.VOTER_FILE, conf.voter_conf(own))
        write_secret(home / conf.USERS_FILE, users)
        write_made(home, made[voter.name])
        if voter.tls:
            write_certificates(folder, voter.name, hosts[voter.name])


def _accounts(folder: Path) -> dict[str, Any]:
    """Make what is not there yet of the operator, the accounts and the logins of people, and return
    the settings of servers that know them. Raises CommandError."""
    accounts = Accounts(folder)
    accounts.make(roles(AUTHORS))
    for role in PEOPLE:
        path = folder / "credentials" / f"{role}.creds"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            write_secret(path, accounts.person(role))
    return accounts.configuration()


def refuse_passwords(folder: Path) -> None:
    """Raise CommandError if the cluster of this folder has passwords shared by roles."""
    if (folder / "credentials" / "operator.txt").exists():
        raise CommandError(
            f"{folder} is of a cluster with passwords, whose streams would be lost in an account "
            "of another name: make a new one in another folder, and `ringrift cluster grow --from "
            f"{folder}` copies everything onto it"
        )


def write_node(folder: Path, node: str, key: str, given: Sequence[str]) -> Path:
    """Write the one file with which a node joins: its login for these roles, the addresses of the
    voters, and their certificate authority. Return its path. Raises CommandError."""
    text = Accounts(folder).node(node, key, given, roles(AUTHORS))
    text += f"\n{SERVER}={addresses(folder, read_nodes(folder))}\n"
    if (authority := folder / "authority" / "ca.pem").exists():
        text += authority.read_text()
    path = folder / "nodes" / f"{node}.creds"
    path.parent.mkdir(exist_ok=True)
    write_secret(path, text)
    return path


def forget(folder: Path, users: Iterable[str]) -> None:
    """Delete the files with the logins of users who were revoked; those of people are made again
    when the files of the cluster are."""
    for user in users:
        (folder / "credentials" / f"{user}.creds").unlink(missing_ok=True)
        (folder / "nodes" / f"{user}.creds").unlink(missing_ok=True)
        edge = folder / "edges" / user.removeprefix("edge-") / LOGIN_FILE
        edge.unlink(missing_ok=True)


def _made(folder: Path, voters: Sequence[conf.Voter]) -> dict[str, Made]:
    """What the directory of each voter is made for; one that exists stays what it is. Raises
    CommandError if it was made for another kind of server, which would delete its streams."""
    homes = sorted((folder / "voters").glob("*/"))
    known = {made.name: made for home in homes if (made := read_made(home))}
    cluster = next((made.cluster for made in known.values()), new_cluster())
    fresh = {each.name: Made(cluster, each.name, bool(each.routes)) for each in voters}
    for name in known.keys() & fresh.keys():
        if known[name].clustered != fresh[name].clustered:
            is_, was = ("voter of a cluster", "single server")[
                :: 1 if fresh[name].clustered else -1
            ]
            raise CommandError(
                f"{folder}/voters/{name} is that of a {was}, whose streams a {is_} does not take "
                "over: write the new files to another folder, then use `ringrift cluster grow`"
            )
    return fresh | {name: known[name] for name in known.keys() & fresh.keys()}


def write_certificates(folder: Path, name: str, host: str) -> None:
    """Write a new certificate for one voter, and the authority if there is none. Raises
    CommandError."""
    make_authority(folder / "authority")
    make_server(folder / "authority", folder / "voters" / name / "ops" / "tls", name, [host])


def write_edge(
    folder: Path, node: str, hubs: Sequence[str], *, key: str, port: int, tls: bool
) -> Path:
    """Write the files of an edge server, with its credentials, which the node completes with the
    seed of its own key, and return their folder. Raises CommandError."""
    if not _NAME.fullmatch(node):
        raise CommandError(
            f"{node!r} is not a name of a node: use lower-case letters, digits, - and _"
        )
    home = folder / "edges" / node
    home.mkdir(parents=True, exist_ok=True)
    write_secret(home / LOGIN_FILE, Accounts(folder).edge(f"edge-{node}", key))
    text = edge_conf(node, hubs, port=port, tls=tls)
    write_secret(home / "nats.conf", text)
    if tls:
        (home / "ca.pem").write_bytes((folder / "authority" / "ca.pem").read_bytes())
    return home


def _kept(path: Path, fresh: str) -> str:
    """The text in the file, which is `fresh` if the file is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_secret(path, fresh + "\n")
    return path.read_text().strip()
