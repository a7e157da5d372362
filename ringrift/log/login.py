"""Who we are to the server, and how we know that it is ours: user, password and certificate
authority.

    nats://user:password@host:4222    for a moment at a terminal: other users of the machine can
    read it RINGRIFT_CREDENTIALS=worker.txt   a file with one line `user:password`, as `ringrift
    cluster init` writes it for a role RINGRIFT_CA=ca.pem                the authority that signed
    the servers' certificates; default: those the system trusts

A user's replies come under an inbox of its own, which is all that its permissions let it listen to.
"""

from __future__ import annotations

import functools
import os
import ssl
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from ringrift.log.errors import Unreachable

CREDENTIALS, AUTHORITY = "RINGRIFT_CREDENTIALS", "RINGRIFT_CA"


class Login(Struct, frozen=True):
    """A user of the server; its name is that of its role."""

    user: str
    password: str


def login_for(server: str) -> Login | None:
    """The user in the address, else the one of the credentials file, else nobody. Raises
    Unreachable for a file of no use."""
    address = urlsplit(server)
    if address.username is not None and address.password is not None:
        return Login(unquote(address.username), unquote(address.password))
    path = os.environ.get(CREDENTIALS)
    return read_login(Path(path)) if path else None


def read_login(path: Path) -> Login:
    """The user in a file. Raises Unreachable."""
    try:
        user, _, password = path.read_text().strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        raise Unreachable(
            f"{CREDENTIALS}={path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    if not user or not password or "\n" in password:
        raise Unreachable(
            f"{CREDENTIALS}={path} has no line user:password; `ringrift cluster init` writes such files"
        )
    return Login(user, password)


def inbox_prefix(login: Login | None) -> str:
    """Where answers to this user come."""
    return f"_INBOX.{login.user}" if login else "_INBOX"


def tls_context() -> ssl.SSLContext:
    """What a client checks servers with. Raises Unreachable if the authority's file is of no
    use."""
    return _context(os.environ.get(AUTHORITY))


@functools.cache
def _context(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise Unreachable(
            f"{AUTHORITY}={authority} is no certificate in PEM that can be read: {error}"
        ) from error
