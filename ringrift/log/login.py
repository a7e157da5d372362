"""User, password and certificate authority of a connection.

    nats://user:password@host:4222
        for a quick test: other users of the machine can read the password
    RINGRIFT_CREDENTIALS=worker.txt
        a file with one line `user:password`, as `ringrift cluster init` writes it for a role
    RINGRIFT_CA=ca.pem
        the authority that signed the servers' certificates; by default those the system trusts.
        With it, or with an address `tls://`, no connection to another machine is without TLS

Replies to a user arrive at an inbox of its own, the only subject that it may subscribe to.
"""

import functools
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from ringrift.log.errors import Unreachable

CREDENTIALS, AUTHORITY = "RINGRIFT_CREDENTIALS", "RINGRIFT_CA"


class Login(Struct, frozen=True):
    """A user of the server, named after its role."""

    user: str
    password: str


def login_for(server: str) -> Login | None:
    """The user in the address, else that in the credentials file, if one is configured. Raises
    Unreachable for an unusable file."""
    address = urlsplit(server)
    if address.username is not None and address.password is not None:
        return Login(unquote(address.username), unquote(address.password))
    path = os.environ.get(CREDENTIALS)
    return read_login(Path(path)) if path else None


def login_beside(user: str) -> Login | None:
    """Another user of the same cluster, if the file `<user>.txt` is beside this one's credentials.
    Raises Unreachable for an unusable file."""
    other = beside(f"{user}.txt")
    return read_login(other) if other and other.is_file() else None


def beside(name: str) -> Path | None:
    """The path of a file beside this process's credentials; None if they are in no file."""
    path = os.environ.get(CREDENTIALS)
    return Path(path).with_name(name) if path else None


def with_login(servers: Sequence[str], login: Login) -> str:
    """Addresses at which to log in as another user than that of this process."""
    parts = (server.partition("://") for server in servers)
    user = f"{quote(login.user)}:{quote(login.password)}"
    return ",".join(f"{scheme}://{user}@{host.rpartition('@')[2]}" for scheme, _, host in parts)


def read_login(path: Path) -> Login:
    """The user in a file. Raises Unreachable."""
    try:
        user, _, password = path.read_text("utf-8-sig").strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unreachable(f"{CREDENTIALS}={path} cannot be read: {reason}") from error
    if not user or not password or "\n" in password:
        remedy = "`ringrift cluster init` writes such files"
        raise Unreachable(f"{CREDENTIALS}={path} has no line user:password; {remedy}")
    return Login(user, password)


def inbox_prefix(login: Login | None) -> str:
    """The prefix of subjects of answers to this user."""
    return f"_INBOX.{login.user}" if login else "_INBOX"


def wants_tls(server: str) -> bool:
    """Whether nothing may be sent to this address without TLS: because it says so, or because an
    authority was named and the server is on another machine."""
    address = urlsplit(server)
    loopback = address.hostname in ("127.0.0.1", "::1", "localhost")
    return address.scheme == "tls" or (AUTHORITY in os.environ and not loopback)


def tls_context() -> ssl.SSLContext:
    """The context with which a client verifies servers. Raises Unreachable if the authority's file
    is unusable."""
    return _context(os.environ.get(AUTHORITY))


@functools.cache
def _context(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        problem = "is no readable certificate in PEM"
        raise Unreachable(f"{AUTHORITY}={authority} {problem}: {error}") from error
