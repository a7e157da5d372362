"""The pages (`ringrift web`) as a child of `ringrift up`: it only reads the log, and is not in the
table of processes."""

import contextlib
import secrets
import socket
from pathlib import Path

from ringrift.cluster.supervisor import Child
from ringrift.errors import CommandError

PORT = 8780
TOKEN_VARIABLE = "RINGRIFT_WEB_TOKEN"
TOKEN_BYTES = 24
LOOPBACK = "127.0.0.1"
PORT_MAX = 65_535


def listen(host: str, port: int | None) -> socket.socket:
    """Listen on a port; if none is given on `PORT`, or else a free one. Raises CommandError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port is not None and not 0 <= port <= PORT_MAX:
        raise CommandError(f"port {port}: a port is a number from 0 to {PORT_MAX}")
    reason = ""
    for tried in (PORT, 0) if port is None else (port,):
        try:
            return socket.create_server((host, tried), family=family, backlog=128)
        except OSError as error:
            reason = error.strerror or str(error)
    raise CommandError(f"cannot listen on {host}, port {port or PORT}: {reason}; give another one")


def pages(server: str, data: Path) -> tuple[Child, str]:
    """Return the process that serves the pages of a log, and the address that a person opens, which
    signs in. Its log is in `data`/logs."""
    with contextlib.closing(listen(LOOPBACK, None)) as found:
        port = found.getsockname()[1]
    token = secrets.token_urlsafe(TOKEN_BYTES)
    words = ("-m", "ringrift.cli.main", "web", "--port", str(port))
    path = data / "logs" / "web.log"
    child = Child("web", server, path, {TOKEN_VARIABLE: token}, words)
    return child, f"http://{LOOPBACK}:{port}/login?token={token}"
