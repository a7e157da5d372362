"""Edges: rented nodes behind NAT, whose own server keeps games while the link is down.

The edge's server is a leaf node of the cluster. Its stream `EDGE` takes the same subjects as
`GAMES`, and the link does not carry them: only `GAMES` of the cluster, which sources `EDGE`,
transfers them, in order and once. Their ids are transferred too, so a game that was also appended
directly is not stored twice. `EDGE` is a buffer on one disk, not a replica: when a node vanishes,
the games it had not transferred are lost."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ringrift.log.protocol import Log
from ringrift.log.topology import GAMES, STREAMS, StreamConfig
from ringrift.server import configuration as conf

EDGE = "EDGE"
LOGIN_FILE = "edge.creds"
EDGE_BYTES_MAX = 8 * 1024**3
"""a night of games of one node with a GPU"""
_GAME_SUBJECTS = next(stream.subjects for stream in STREAMS if stream.name == GAMES)
EDGE_STREAM = StreamConfig(
    name=EDGE,
    description="Games finished here, on their way to GAMES.",
    subjects=_GAME_SUBJECTS,
    max_bytes=EDGE_BYTES_MAX,
    allow_atomic=True,
    deny_delete=True,
)


def domain_of(node: str) -> str:
    """The JetStream domain of a node's edge server."""
    return f"edge-{node}"


def edge_conf(node: str, hubs: Sequence[str], *, port: int, tls: bool) -> str:
    """The configuration of an edge's server, whose login is in `LOGIN_FILE` next to it. `hubs` are
    host:port of the cluster's leaf ports; with `tls`, their certificate authority is in `ca.pem`
    there."""
    scheme = "tls" if tls else "nats"
    remote: dict[str, Any] = {
        "urls": [f"{scheme}://{hub}" for hub in hubs],
        "credentials": f"./{LOGIN_FILE}",
        # Games travel through EDGE alone; over the link they would be stored twice.
        "deny_exports": list(_GAME_SUBJECTS),
        "deny_imports": list(_GAME_SUBJECTS),
    }
    if tls:
        remote["tls"] = {"ca_file": "./ca.pem"}
    domain = domain_of(node)
    storage = {"store_dir": "./nats", "domain": domain, "sync_interval": conf.SYNC_INTERVAL}
    voter = conf.Voter(name=domain, port=port, monitor_port=None)
    settings = voter.settings() | {
        "max_payload": conf.PAYLOAD_BYTES_MAX,
        "max_pending": conf.PENDING_BYTES_MAX,
        "jetstream": storage,
        "leafnodes": {"reconnect": 1, "remotes": [remote]},
    }
    return conf.as_json(settings)


async def ensure_edge(log: Log) -> None:
    """Create the buffer on an edge's own server, unless it exists. Raises ServerRefused."""
    await log.call(f"STREAM.CREATE.{EDGE}", msgspec.to_builtins(EDGE_STREAM))


async def source_edge(log: Log, node: str) -> bool:
    """Make `GAMES` of the cluster source the edge of `node`; return False if it does already.

    Each edge has an entry, for which the server keeps how far it has read. Raises ServerRefused."""
    config: dict[str, Any] = (await log.call(f"STREAM.INFO.{GAMES}"))["config"]
    api = f"$JS.{domain_of(node)}.API"
    sources = config.get("sources") or []
    if any(known.get("external", {}).get("api") == api for known in sources):
        return False
    sources.append({"name": EDGE, "external": {"api": api}})
    await log.call(f"STREAM.UPDATE.{GAMES}", config | {"sources": sources})
    return True
