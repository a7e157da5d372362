"""The text of `nats.conf`: one node with durable storage, for `nats-server -c nats.conf` and for the embedded server."""

from __future__ import annotations

import json

DEFAULT_PORT = 4222
DEFAULT_MONITOR_PORT = 8222
DEFAULT_STORE = "./.ringrift/nats"
SERVER_NAME = "ringrift"

_MONITOR = "# Health and metrics, without authentication: keep it on loopback.\n"
_TEXT = """\
# NATS server of RingRift: one node, durable. `nats-server -c nats.conf` works as it stands.
# Written by `ringrift contract export` from ringrift/streams/natsconf.py; a test compares the two.

server_name: {name}
host: {host}
port: {port}
{monitor}
# A four-player game on the largest board has some hundred kilobytes; half of this would do.
max_payload: 8MB
# Unsent bytes a client may cause: four bulk pulls of 12 MB and room to spare.
max_pending: 64MB
ping_interval: 20s
write_deadline: 10s

jetstream {{
  store_dir: {store}
  # The disk is the limit. The default, three quarters of what is free at the start, would shrink with every restart.
  max_file_store: 1TB
  # Every acknowledged message is on the disk, also after a power cut. The default syncs every two minutes and loses what
  # came since. A batch costs four syncs whatever its size, a single message one (0.05 to 4 ms), far more than is needed.
  sync_interval: always
}}
"""


def nats_conf(
    *,
    store: str = DEFAULT_STORE,
    port: int = DEFAULT_PORT,
    monitor_port: int | None = DEFAULT_MONITOR_PORT,
    host: str = "127.0.0.1",
    name: str = SERVER_NAME,
) -> str:
    """The configuration of one node; without `monitor_port` there is no HTTP endpoint."""
    monitor = "" if monitor_port is None else f'{_MONITOR}http: "127.0.0.1:{monitor_port}"\n'
    return _TEXT.format(name=json.dumps(name), host=json.dumps(host), port=port, monitor=monitor, store=json.dumps(store))
