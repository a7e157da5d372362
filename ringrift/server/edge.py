"""An edge: a rented node behind NAT with a server of its own, a leaf of the cluster, that keeps
games while the link is down.

Its stream `EDGE` takes the same subjects as `GAMES`, and the link does not carry them: only the
cluster's `GAMES`, which sources `EDGE`, brings them over, in their order and once. Their ids come
along, so a game that was also written directly is known again. `EDGE` is a buffer on one disk, not
a replica: what a node that vanishes had not handed over is gone with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from ringrift.log.login import Login
from ringrift.log.protocol import Log
from ringrift.log.topology import GAMES, STREAMS, StreamConfig

EDGE = "EDGE"
EDGE_PORT = 4222
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
_TEXT = """\
# NATS server of a RingRift edge, written by `ringrift cluster edge`: `nats-server -c nats.conf`.
# Secret: mode 0600.
server_name: {name}
host: "127.0.0.1"
port: {port}
max_payload: 8MB
max_pending: 64MB

jetstream {{
  store_dir: {store}
  domain: {domain}
  sync_interval: always
}}

leafnodes {{
  reconnect: 1
  remotes: [
    {{
      urls: {urls}
      # Games go through EDGE alone: over the link, too, they would be stored twice and acknowledged
      # twice.
      deny_exports: {games}
      deny_imports: {games}
{tls}    }}
  ]
}}
"""


def domain_of(node: str) -> str:
    """The JetStream domain of a node's edge server."""
    return f"edge-{node}"


def edge_conf(
    node: str,
    hubs: Sequence[str],
    login: Login,
    *,
    port: int,
    authority: str | None,
    store: str = "./nats",
) -> str:
    """The configuration of an edge's server; `hubs`: host:port of the cluster's leaf ports,
    `authority`: file with their CA."""
    scheme = "tls" if authority else "nats"
    urls = [f"{scheme}://{login.user}:{login.password}@{hub}" for hub in hubs]
    tls = f"      tls {{ ca_file: {json.dumps(authority)} }}\n" if authority else ""
    return _TEXT.format(
        name=json.dumps(f"edge-{node}"),
        port=port,
        store=json.dumps(store),
        domain=json.dumps(domain_of(node)),
        urls=json.dumps(urls),
        games=json.dumps(list(_GAME_SUBJECTS)),
        tls=tls,
    )


async def ensure_edge(log: Log) -> None:
    """Creates the buffer on an edge's own server, unless it is there. Raises ServerRefused."""
    await log.call(f"STREAM.CREATE.{EDGE}", msgspec.to_builtins(EDGE_STREAM))


async def source_edge(log: Log, node: str) -> bool:
    """Makes `GAMES` of the cluster source the edge of `node`; False if it does already. Raises
    ServerRefused.

    One entry an edge: the server keeps for each how far it has come."""
    config: dict[str, Any] = (await log.call(f"STREAM.INFO.{GAMES}"))["config"]
    external = {"api": f"$JS.{domain_of(node)}.API"}
    sources = config.get("sources") or []
    if any(known.get("external", {}).get("api") == external["api"] for known in sources):
        return False
    await log.call(
        f"STREAM.UPDATE.{GAMES}",
        config | {"sources": [*sources, {"name": EDGE, "external": external}]},
    )
    return True
