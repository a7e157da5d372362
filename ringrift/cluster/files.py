"""The files of a cluster: what each voter gets, the credentials of each role, the certificate
authority, an edge's server.

    DIR/voters/<name>/nats.conf          the one of the repository DIR/voters/<name>/ops/voter.conf
    what is this voter's own; ops/users.conf and ops/tls/ beside it DIR/credentials/<role>.txt
    user:password, for RINGRIFT_CREDENTIALS DIR/authority/ca.pem, ca.key         the authority; the
    key stays where the files are made

Written again with more voters, passwords and authority stay as they are.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from ringrift.cluster.certificates import make_authority, make_server
from ringrift.errors import CommandError
from ringrift.log.login import read_login
from ringrift.runtime.processes import PROCESSES
from ringrift.server.configuration import (
    DEFAULT_PORT,
    USERS_FILE,
    VOTER_FILE,
    Tls,
    Voter,
    as_json,
    shipped_conf,
    voter_conf,
)
from ringrift.server.edge import edge_conf
from ringrift.server.roles import new_passwords, roles, users_conf

ROUTE_PORTS_ABOVE, LEAF_PORTS_ABOVE, MONITOR_PORTS_ABOVE = 2000, 3200, 4000
"""distance of a server's other ports from its client port: 4222 comes with 6222, 7422 and 8222"""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")


class Node(Struct, frozen=True):
    """A voter as the operator names it."""

    name: str
    host: str
    port: int = DEFAULT_PORT

    @property
    def route(self) -> str:
        """Where the other voters reach it."""
        return f"{self.host}:{self.port + ROUTE_PORTS_ABOVE}"


def parse_nodes(text: str) -> list[Node]:
    """Voters of `NAME=HOST[:PORT],...`. Raises CommandError."""
    nodes = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, address = part.partition("=")
        host, _, port = address.partition(":")
        if not _NAME.fullmatch(name) or not host or (port and not port.isdecimal()):
            raise CommandError(
                f"{part!r} is no voter: write NAME=HOST or NAME=HOST:PORT, the name in lower case"
            )
        nodes.append(Node(name, host, int(port or DEFAULT_PORT)))
    if len({node.name for node in nodes}) < len(nodes) or len(
        {(node.host, node.port) for node in nodes}
    ) < len(nodes):
        raise CommandError("two voters have the same name or address")
    if len(nodes) not in (1, 3, 5):
        raise CommandError(
            f"{len(nodes)} voters: give 1, 3 or 5; an even number survives no more losses than one less"
        )
    return nodes


def voters_of(
    nodes: Sequence[Node], *, users: bool, tls: bool, route_password: str | None
) -> list[Voter]:
    """The voters of a cluster of these nodes; one node alone is a single server."""
    found = []
    for node in nodes:
        others = tuple(other.route for other in nodes if other != node)
        found.append(
            Voter(
                name=node.name,
                host="127.0.0.1" if node.host in ("127.0.0.1", "localhost") else "0.0.0.0",
                port=node.port,
                advertise=f"{node.host}:{node.port}",
                monitor_port=node.port + MONITOR_PORTS_ABOVE,
                route_port=node.port + ROUTE_PORTS_ABOVE,
                route_advertise=node.route if others else None,
                routes=others,
                route_password=route_password if others else None,
                leaf_port=node.port + LEAF_PORTS_ABOVE if users else None,
                users=users,
                tls=Tls() if tls else None,
            )
        )
    return found


def write_cluster(folder: Path, nodes: Sequence[Node], *, users: bool, tls: bool) -> list[Voter]:
    """Writes the files of a cluster; the voters in them. Raises CommandError."""
    password = (
        _kept(folder / "credentials" / "route.txt", f"pw-{secrets.token_urlsafe(32)}")
        if users
        else None
    )
    voters = voters_of(nodes, users=users, tls=tls, route_password=password)
    write_voters(folder, voters, {node.name: node.host for node in nodes})
    return voters


def write_voters(folder: Path, voters: Sequence[Voter], hosts: dict[str, str]) -> None:
    """The folders of the voters, and what they share. `hosts`: under which address each is
    reached."""
    rights = roles(PROCESSES.values())
    passwords = (
        {name: _password(folder, name, given) for name, given in new_passwords(rights).items()}
        if _users(voters)
        else {}
    )
    for voter in voters:
        home = folder / "voters" / voter.name
        (home / "ops").mkdir(parents=True, exist_ok=True)
        (home / "nats.conf").write_text(shipped_conf())
        write_secret(home / VOTER_FILE, voter_conf(voter))
        users = users_conf(rights, passwords) if voter.users else as_json({})
        write_secret(home / USERS_FILE, users)
        if voter.tls:
            write_certificates(folder, voter.name, hosts[voter.name])


def write_certificates(folder: Path, name: str, host: str) -> None:
    """A new certificate for one voter, and the authority if there is none. Raises CommandError."""
    make_authority(folder / "authority")
    make_server(folder / "authority", folder / "voters" / name / "ops" / "tls", name, [host])


def write_edge(folder: Path, node: str, hubs: Sequence[str], *, port: int, tls: bool) -> Path:
    """The server of a leaf node and its credentials below `folder`; its directory. Raises
    CommandError."""
    if not _NAME.fullmatch(node):
        raise CommandError(f"{node!r} is no name of a node: lower-case letters, digits, - and _")
    login = read_login(folder / "credentials" / "edge.txt")
    home = folder / "edges" / node
    home.mkdir(parents=True, exist_ok=True)
    write_secret(
        home / "nats.conf",
        edge_conf(node, hubs, login, port=port, authority="./ca.pem" if tls else None),
    )
    if tls:
        (home / "ca.pem").write_bytes((folder / "authority" / "ca.pem").read_bytes())
    return home


def write_secret(path: Path, text: str) -> None:
    """The text in a file that nobody else reads, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)


def _password(folder: Path, role: str, fresh: str) -> str:
    """The role's password: the one in its credentials file, else `fresh`, which is then in
    there."""
    return _kept(folder / "credentials" / f"{role}.txt", f"{role}:{fresh}").partition(":")[2]


def _kept(path: Path, fresh: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_secret(path, fresh + "\n")
    return path.read_text().strip()


def _users(voters: Sequence[Voter]) -> bool:
    return any(voter.users for voter in voters)
