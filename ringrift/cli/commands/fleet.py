"""Servers and machines: `cluster`, `node`, `update`, `fleet`, `simulate`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ringrift.cli.commands.options import (
    DATA,
    SERVER,
    Command,
    Commands,
    add_json,
    add_set,
    add_source,
    group,
    later,
)


def fleet(commands: Commands) -> None:
    """`ringrift fleet register`."""
    items = group(commands, "fleet", "the nodes, as the scheduler knows them", "register")
    register = items.add_parser(
        "register",
        help="tell the log what nodes there are, from a TOML file such as ops/fleet.toml",
    )
    add_source(register)
    register.add_argument("file", type=Path)
    register.set_defaults(run=later("ringrift.cli.fleet", "register"))


def simulate(commands: Commands) -> None:
    """`ringrift simulate`."""
    item = commands.add_parser(
        "simulate",
        help="a fleet under a virtual clock: what the deciders make of it, and what holds",
    )
    item.add_argument(
        "--nodes", type=Path, required=True, help="TOML file with the fleet, such as ops/fleet.toml"
    )
    item.add_argument("--hours", type=float, default=48.0, help="virtual hours (default 48)")
    item.add_argument(
        "--seed", type=int, default=1, help="another number gives another course (default 1)"
    )
    item.add_argument(
        "--seeds", type=int, default=1, help="so many seeds, from --seed on (default 1)"
    )
    item.add_argument(
        "--faults", type=Path, help="TOML file with what goes wrong, such as ops/faults.toml"
    )
    item.add_argument(
        "--compare", action="store_true", help="also without cost awareness, to tell what it saves"
    )
    add_set(item, "a setting, as in `up`")
    item.add_argument(
        "--report", type=Path, metavar="DIR", help="write the findings as JSON and a page of plots"
    )
    item.add_argument(
        "--log",
        type=Path,
        metavar="DIR",
        help="write the log there, for `ringrift why --data DIR` and its like",
    )
    add_json(item)
    item.set_defaults(run=later("ringrift.tools.simulate", "simulate"))


def cluster(commands: Commands) -> None:
    """`ringrift cluster`: the files of real voters, then a cluster on this machine to try things
    on."""
    names = "init|certs|edge|join|grow|backup|restore|up|down|status|kill|partition|heal"
    items = group(
        commands, "cluster", "several servers: their files, a local one for trials", names
    )
    _files(items)
    _members(items)
    _local(items)


def _files(items: Commands) -> None:
    init = items.add_parser(
        "init", help="write the files of every voter and the credentials of every role"
    )
    init.add_argument("--nodes", required=True, help="NAME=HOST[:PORT],... for 1, 3 or 5 voters")
    init.add_argument(
        "--no-users", action="store_true", help="no users and permissions: only behind a firewall"
    )
    init.add_argument(
        "--tls",
        action="store_true",
        help="TLS between all, with a certificate authority of its own",
    )
    init.set_defaults(run=_cluster("init"))
    certs = items.add_parser(
        "certs", help="new certificates for voters, by the authority that `init --tls` made"
    )
    certs.add_argument("--nodes", required=True, help="NAME=HOST[:PORT],... as given to init")
    certs.set_defaults(run=_cluster("certs"))
    edge = items.add_parser(
        "edge", help="write the server of a node behind NAT that keeps games while its link is down"
    )
    edge.add_argument("--name", required=True, help="the node")
    edge.add_argument("--nodes", required=True, help="the voters, as given to init")
    edge.add_argument(
        "--port", type=int, default=4222, help="where the edge's server listens on loopback"
    )
    edge.add_argument("--tls", action="store_true")
    edge.set_defaults(run=_cluster("edge"))
    for item in (init, certs, edge):
        item.add_argument(
            "--output",
            type=Path,
            required=True,
            metavar="DIR",
            help="where the cluster's files are",
        )


def _members(items: Commands) -> None:
    join = items.add_parser(
        "join",
        help="let the cluster fetch what an edge has: --server names the cluster, --edge the edge",
    )
    add_source(join)
    join.add_argument("--name", required=True, help="the node, as given to `cluster edge`")
    join.add_argument("--edge", required=True, help="URL of the edge's own server")
    join.set_defaults(run=_cluster("join"))
    grow = items.add_parser(
        "grow",
        help="more replicas; with --from, everything of a single server onto a new cluster first",
    )
    add_source(grow)
    grow.add_argument("--replicas", type=int, default=3)
    grow.add_argument(
        "--from",
        dest="origin",
        help="URL of the single server, which nobody may write to meanwhile",
    )
    grow.set_defaults(run=_cluster("grow"))
    backup = items.add_parser(
        "backup", help="all streams into a directory, while the cluster works"
    )
    add_source(backup)
    backup.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="an empty or new directory"
    )
    backup.set_defaults(run=_cluster("backup"))
    restore = items.add_parser(
        "restore", help="a backup onto a new server or cluster, which has no streams yet"
    )
    add_source(restore)
    restore.add_argument(
        "--from",
        dest="origin",
        type=Path,
        required=True,
        metavar="DIR",
        help="what `cluster backup` has written",
    )
    restore.add_argument("--replicas", type=int, default=3, help="1 for a single server")
    restore.set_defaults(run=_cluster("restore"))


def _local(items: Commands) -> None:
    def add(name: str, text: str) -> argparse.ArgumentParser:
        item = items.add_parser(name, help=text)
        item.add_argument(
            "--data",
            type=Path,
            default=DATA / "cluster",
            help="where it lies (default .ringrift/cluster)",
        )
        item.set_defaults(run=_cluster(name))
        return item

    up = add("up", "start a cluster on this machine")
    up.add_argument("--nodes", type=int, default=3, help="3 or 5 servers, when it is made")
    up.add_argument("--users", action="store_true", help="with users and permissions")
    up.add_argument("--tls", action="store_true", help="with TLS")
    add("down", "stop it")
    add_json(add("status", "how it is"))
    add("kill", "kill -9 one server").add_argument("node")
    add("partition", "cut servers off from the others").add_argument("node", nargs="+")
    add("heal", "end all cuts")


def _cluster(name: str) -> Command:
    return later("ringrift.cli.cluster", name)


def node(commands: Commands) -> None:
    """`ringrift node run`."""
    items = group(commands, "node", "this machine as a node of a cluster", "run")
    item = items.add_parser("run", help="keep running what the roles, the GPU and the memory allow")
    item.add_argument(
        "--roles", required=True, help="one or more of worker,trainer,evaluator,coordinator"
    )
    item.add_argument(
        "--server", default=SERVER or "nats://127.0.0.1:4222", help="URLs of the voters"
    )
    item.add_argument(
        "--edge",
        default=os.environ.get("RINGRIFT_EDGE"),
        help="URL of this node's edge, which keeps its games",
    )
    item.add_argument(
        "--credentials", type=Path, metavar="DIR", help="folder with ROLE.txt for each role"
    )
    item.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="where the logs of its processes lie (default .ringrift)",
    )
    item.add_argument(
        "--node",
        default=os.environ.get("RINGRIFT_NODE"),
        help="name of this machine in facts (default: host name)",
    )
    item.add_argument(
        "--provider", default=os.environ.get("RINGRIFT_PROVIDER", ""), help="who rents it out"
    )
    item.add_argument(
        "--price",
        type=float,
        default=os.environ.get("RINGRIFT_PRICE", "0"),
        help="what an hour of it costs",
    )
    item.add_argument(
        "--update-command",
        default="",
        metavar="SHELL",
        help="run for `ringrift update`, such as 'git pull'",
    )
    item.add_argument("--rollback-command", default="", metavar="SHELL", help="run to take it back")
    item.set_defaults(run=later("ringrift.cluster.node", "run"))


def update(commands: Commands) -> None:
    """`ringrift update`."""
    item = commands.add_parser(
        "update", help="the new program on every node and server, one quorum-safe step at a time"
    )
    add_source(item)
    item.add_argument("--safe", action="store_true", help="do it")
    item.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    item.add_argument("--skip-voters", action="store_true", help="leave the servers as they are")
    timeout = "seconds in which a node or server must be back and current"
    item.add_argument(
        "--convergence-timeout", type=float, default=180.0, metavar="SECONDS", help=timeout
    )
    item.set_defaults(run=later("ringrift.cluster.update", "update"))
