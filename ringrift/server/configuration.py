"""Configuration of nats-server: for a laptop, for a voter of a cluster, for the embedded server.

    nats.conf         the same on every machine: limits and durability
    ops/voter.conf    what differs between machines: name, addresses, storage, routes, TLS
    ops/users.conf    users and their rights, none on a laptop

nats-server reads JSON, so the two files that programs write are JSON. Relative paths in them are
relative to the directory that the server is started in, that of `nats.conf`.
"""

import json
import re
from pathlib import Path
from shutil import disk_usage
from typing import Any

from msgspec import Struct

from ringrift.log.holdings import CLUSTER

DEFAULT_PORT = 4222
CONF_FILE, VOTER_FILE, USERS_FILE = "nats.conf", "ops/voter.conf", "ops/users.conf"
ROUTE_USER = "route"
_ESCAPE = re.compile(r"\\(u....|[bf])|\\.")
TLS_FILES = {
    "ca_file": "./ops/tls/ca.pem",
    "cert_file": "./ops/tls/server.pem",
    "key_file": "./ops/tls/server.key",
}
"""in PEM: the certificate authority that all trust, and the server's own certificate and key"""
MIB = 1024**2

PAYLOAD_BYTES_MAX = 8 * MIB
"""a four-player game on the largest board has some hundred kilobytes; half of this would do"""
PENDING_BYTES_MAX = 64 * MIB
"""unsent bytes of one client: four bulk pulls of 12 MB, with room to spare"""
FILE_STORE_BYTES_MAX = 1024**4
"""where nothing looks at the disk. The server's default, three quarters of what is free at the
start, would shrink with every restart"""
FILE_STORE_SHARE = 0.98
"""of the disk, for all streams: more is refused, before the disk is full"""
FILE_STORE_BYTES_MIN = 1024**3
"""on a smaller disk: what streams reserve must fit, that of dead letters 256 MB"""
_FILE_STORE = re.compile(r"(?<=max_file_store: )\S+")
SYNC_INTERVAL = "always"
"""each acknowledged message is on the disk, also after a power cut. The default syncs every two
minutes and loses what came since. A batch costs four syncs whatever its size, a single message one
(0.05 to 4 ms), far more than is needed"""
PING_INTERVAL, WRITE_DEADLINE = "20s", "10s"

_INCLUDES = f"""\
include ./{VOTER_FILE}
include ./{USERS_FILE}
"""
SHIPPED_CONF = f"""\
# NATS server of RingRift: `nats-server -c nats.conf` starts a single, durable node. On a voter of a
# cluster it is the same file; the included files differ, `ringrift cluster init` writes them.
#
# The text is in ringrift/server/configuration.py; change it there.

{_INCLUDES}
# A four-player game on the largest board has some hundred kilobytes; half of this would do.
max_payload: {PAYLOAD_BYTES_MAX // MIB}MB
# Unsent bytes of one client: four bulk pulls of 12 MB, with room to spare.
max_pending: {PENDING_BYTES_MAX // MIB}MB
ping_interval: {PING_INTERVAL}
write_deadline: {WRITE_DEADLINE}

jetstream {{
  store_dir: $store
  # Most of the disk: `ringrift voter check` and `up` write it here. The server's default, three
  # quarters of what is free at the start, would shrink with every restart.
  max_file_store: {FILE_STORE_BYTES_MAX // 1024**4}TB
  # Each acknowledged message is on the disk, also after a power cut. The default syncs every two
  # minutes and loses what came since. A batch costs four syncs whatever its size, a single message
  # one (0.05 to 4 ms), far more than is needed.
  sync_interval: {SYNC_INTERVAL}
}}
"""
"""`nats.conf` at the root"""


class Voter(Struct, frozen=True, kw_only=True):
    """The differences between two servers. Without `routes` a server is a single node."""

    name: str = "ringrift"
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    advertise: str | None = None
    """host:port at which clients reach it, announced to them"""
    monitor_port: int | None = 8222
    """for health and metrics, without authentication: on loopback only"""
    store: str = "./.ringrift/nats"
    route_port: int = 6222
    route_advertise: str | None = None
    """host:port at which other voters reach its route port"""
    route_password: str | None = None
    """shared by the voters; a client that can open a route may do everything"""
    routes: tuple[str, ...] = ()
    """host:port of the route ports of the other voters; its own would be counted as another voter
    where it is not recognised"""
    leaf_port: int | None = None
    """for the leaf nodes of edges"""
    users: bool = False
    """whether clients must log in as a user"""
    tls: bool = False
    cluster: str = ""
    """identity of the cluster, which its server tells"""

    def settings(self) -> dict[str, Any]:
        """The server's settings, except for its store."""
        secured = {"tls": TLS_FILES} if self.tls else {}
        host = self.host.strip("[]")
        found: dict[str, Any] = {"server_name": self.name, "host": host, "port": self.port}
        found |= secured
        if self.advertise:
            found["client_advertise"] = self.advertise
        if self.monitor_port is not None:
            found["http"] = f"127.0.0.1:{self.monitor_port}"
        if self.routes:
            found["cluster"] = self._cluster() | secured
        if self.cluster:
            found["server_metadata"] = {CLUSTER: self.cluster}
        if self.leaf_port is not None:
            found["leafnodes"] = {"listen": f"{self.host}:{self.leaf_port}"} | secured
        return found

    def _cluster(self) -> dict[str, Any]:
        listen = f"{self.host}:{self.route_port}"
        found: dict[str, Any] = {"name": "ringrift", "listen": listen}
        login = ""
        if self.route_advertise:
            found["advertise"] = self.route_advertise
        if self.route_password:
            password = self.route_password
            found["authorization"] = {"user": ROUTE_USER, "password": password, "timeout": 5}
            login = f"{ROUTE_USER}:{password}@"
        found["routes"] = [f"nats://{login}{route}" for route in self.routes]
        return found


def voter_conf(voter: Voter) -> str:
    """The included file of a voter."""
    return as_json(voter.settings() | {"store": voter.store})


def server_conf(voter: Voter) -> str:
    """All in one file, for a server with a configuration of its own."""
    settings = voter.settings() | {"store": voter.store}
    lines = [f"{name}: {_as_text(value)}\n" for name, value in settings.items()]
    return SHIPPED_CONF.replace(_INCLUDES, "".join(lines))


def fitted(conf: str, store: Path) -> str:
    """The text of `nats.conf` with a limit of all streams that follows the disk of the store."""
    place = next(path for path in (store, *store.absolute().parents) if path.exists())
    size = max(int(disk_usage(place).total * FILE_STORE_SHARE), FILE_STORE_BYTES_MIN)
    return _FILE_STORE.sub(str(size), conf)


def as_json(settings: dict[str, Any]) -> str:
    """Settings as the text of a configuration file."""
    return _as_text(settings, indent=2) + "\n"


def _as_text(value: Any, indent: int | None = None) -> str:
    r"""JSON as nats-server reads it, which knows no `\u`, `\b` and `\f`."""
    return _ESCAPE.sub(_hexadecimal, json.dumps(value, indent=indent, ensure_ascii=False))


def _hexadecimal(escape: re.Match[str]) -> str:
    character = json.loads('"' + escape[0] + '"')
    return f"\\x{ord(character):02x}" if escape[1] else escape[0]
