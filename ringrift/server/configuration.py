"""The text of `nats.conf` and of the small file it includes, for a laptop, for a voter of a cluster
and for the embedded server.

    nats.conf         the same on every machine: limits and durability ops/voter.conf    what
    differs: name, addresses, storage, routes, users, TLS; it ships as the single node

Paths in both are relative to the directory the server is started in, that of `nats.conf`; of
included files, to the including one."""

from __future__ import annotations

import json

from msgspec import Struct

DEFAULT_PORT = 4222
DEFAULT_MONITOR_PORT = 8222
DEFAULT_ROUTE_PORT = 6222
DEFAULT_LEAF_PORT = 7422
DEFAULT_STORE = "./.ringrift/nats"
SERVER_NAME = "ringrift"
CLUSTER_NAME = "ringrift"
VOTER_FILE = "ops/voter.conf"
ROUTE_USER = "route"
USERS_FILE = "users.conf"
"""beside the voter file"""

_INCLUDE = f"include ./{VOTER_FILE}\n"
_HEAD = """\
# NATS server of RingRift, durable: `nats-server -c nats.conf` works as it stands, a single node; on
# a voter it is the same file. What differs between machines is in ops/voter.conf, which `ringrift
# cluster init` writes for a voter. Written by `ringrift contract export` from
# ringrift/server/configuration.py; a test compares the two.

"""
_BODY = """\

# A four-player game on the largest board has some hundred kilobytes; half of this would do.
max_payload: 8MB
# Unsent bytes a client may cause: four bulk pulls of 12 MB and room to spare.
max_pending: 64MB
ping_interval: 20s
write_deadline: 10s

jetstream {
  store_dir: $store
  # The disk is the limit. The default, three quarters of what is free at the start, would shrink
  # with every restart.
  max_file_store: 1TB
  # Every acknowledged message is on the disk, also after a power cut. The default syncs every two
  # minutes and loses what came since. A batch costs four syncs whatever its size, a single message
  # one (0.05 to 4 ms), far more than is needed.
  sync_interval: always
}
"""
_VOTER = "# What differs between servers, written by `ringrift cluster init`; as it ships, a single node for one user.\n"
_MONITOR = "# Health and metrics, without authentication: keep it on loopback.\n"


class Tls(Struct, frozen=True):
    """Files in PEM: the certificate authority all trust, and this server's own."""

    ca: str = "./ops/tls/ca.pem"
    certificate: str = "./ops/tls/server.pem"
    key: str = "./ops/tls/server.key"


class Voter(Struct, frozen=True, kw_only=True):
    """What differs between two servers. Without `routes` it stands alone; `users` includes the file
    of users and permissions."""

    name: str = SERVER_NAME
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    advertise: str | None = None
    """host:port where clients reach it, told to them"""
    monitor_port: int | None = DEFAULT_MONITOR_PORT
    store: str = DEFAULT_STORE
    route_port: int = DEFAULT_ROUTE_PORT
    route_advertise: str | None = None
    """host:port where other voters reach its route port"""
    route_password: str | None = None
    """what voters show each other: who may open a route may do everything"""
    routes: tuple[str, ...] = ()
    """host:port of the route ports of the other voters; its own would be counted as one more voter
    where it goes unrecognised"""
    leaf_port: int | None = None
    """where leaf nodes of edges connect, if they may"""
    users: bool = False
    tls: Tls | None = None


def shipped_conf() -> str:
    """`nats.conf` as it lies at the root."""
    return _HEAD + _INCLUDE + _BODY


def voter_conf(voter: Voter) -> str:
    """The included file."""
    text = f"{_VOTER}server_name: {json.dumps(voter.name)}\nhost: {json.dumps(voter.host)}\nport: {voter.port}\n"
    if voter.advertise:
        text += f"client_advertise: {json.dumps(voter.advertise)}\n"
    if voter.monitor_port is not None:
        text += f'{_MONITOR}http: "127.0.0.1:{voter.monitor_port}"\n'
    text += f"store: {json.dumps(voter.store)}\n"
    if voter.users:
        text += f"include ./{USERS_FILE}\n"
    if voter.tls:
        text += f"tls {{\n{_tls(voter.tls)}}}\n"
    if voter.routes:
        text += _cluster(voter)
    if voter.leaf_port is not None:
        listen = json.dumps(f"{voter.host}:{voter.leaf_port}")
        text += f"leafnodes {{\n  listen: {listen}\n{_block(voter.tls)}}}\n"
    return text


def nats_conf(voter: Voter) -> str:
    """Both in one text, for a server that has a file of its own."""
    return _HEAD + voter_conf(voter) + _BODY


def _cluster(voter: Voter) -> str:
    text = f"cluster {{\n  name: {json.dumps(CLUSTER_NAME)}\n  listen: {json.dumps(f'{voter.host}:{voter.route_port}')}\n"
    if voter.route_advertise:
        text += f"  advertise: {json.dumps(voter.route_advertise)}\n"
    login = ""
    if voter.route_password:
        text += f"  authorization {{ user: {ROUTE_USER}, password: {json.dumps(voter.route_password)}, timeout: 5 }}\n"
        login = f"{ROUTE_USER}:{voter.route_password}@"
    routes = "".join(f"    {json.dumps(f'nats://{login}{route}')}\n" for route in voter.routes)
    return f"{text}  routes: [\n{routes}  ]\n{_block(voter.tls)}}}\n"


def _block(tls: Tls | None) -> str:
    return f"  tls {{\n{_tls(tls)}  }}\n" if tls else ""


def _tls(tls: Tls) -> str:
    files = (("ca_file", tls.ca), ("cert_file", tls.certificate), ("key_file", tls.key))
    return "".join(f"    {name}: {json.dumps(path)}\n" for name, path in files)
