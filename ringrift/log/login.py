"""The user and certificate authority of a connection.

    RINGRIFT_CREDENTIALS=gpu1.creds
        a file as `ringrift node admit` and `ringrift cluster init` write it: a token that says who
        may log in with which key, and the seed of that key, unless it is the key of this machine.
        `nats` and every other client of NATS read it too. It may name the servers and contain
        their authority, and is then all that a node needs
    RINGRIFT_CA=ca.pem
        the authority that signed the servers' certificates; by default those the system trusts.
        With it, or with an address `tls://`, no connection to another machine is without TLS
    nats://user:password@host:4222, or a file with one line `user:password`
        a server that knows passwords, as clusters did before they knew keys

Replies to a user arrive at an inbox of its own, the only subject that it may subscribe to.
"""

import base64
import contextlib
import functools
import os
import re
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct

from ringrift.errors import CommandError
from ringrift.log.errors import Unreachable
from ringrift.log.identity import NodeKey, find_key

CREDENTIALS, AUTHORITY, SERVER = "RINGRIFT_CREDENTIALS", "RINGRIFT_CA", "RINGRIFT_SERVER"
NODE_TAG = "node"
"""of tokens whose name is that of a node"""
_TOKEN = re.compile(r"-----BEGIN NATS USER JWT-----\s+(\S+)\s")
_SEED = re.compile(r"-----BEGIN USER NKEY SEED-----\s+(\S+)\s")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_SERVERS = re.compile(r"^RINGRIFT_SERVER=(\S+)$", re.MULTILINE)
_NONCE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Login(Struct, frozen=True):
    """A user of the server, by a token and a key, or by a password."""

    user: str
    password: str = ""
    token: str = ""
    seed: str = ""
    """of the token's key; empty if that is the key of this machine"""

    @property
    def is_node(self) -> bool:
        """Whether it is the login of a node, whose name is the user's."""
        return bool(self.token) and NODE_TAG in (claims_in(self.token)["nats"].get("tags") or ())

    def options(self) -> dict[str, Any]:
        """The arguments of the library's `connect`. Raises Unreachable without the key."""
        if not self.token:
            return {"user": self.user, "password": self.password}
        answer = self._answer()
        return {
            "user_jwt_cb": lambda: bytearray(self.token.encode()),
            "signature_cb": lambda nonce: answer(nonce).encode(),
        }

    def fields(self, nonce: str) -> Mapping[str, str]:
        """What the command CONNECT says to a server that sent `nonce`. Raises Unreachable."""
        if not self.token:
            return {"user": self.user, "pass": self.password}
        # without a nonce it lets in everybody
        return {"jwt": self.token, "sig": self._answer()(nonce)} if nonce else {}

    def _answer(self) -> Callable[[str], str]:
        key = self._key()

        def answer(nonce: str) -> str:
            # the same key signs facts, which are JSON: nothing else may be signed for a server
            if not _NONCE.fullmatch(nonce):
                raise Unreachable("the server asks to sign something that is no nonce")
            return base64.urlsafe_b64encode(key.sign(nonce.encode())).decode().rstrip("=")

        return answer

    def _key(self) -> NodeKey:
        wanted = claims_in(self.token)["sub"]
        try:
            key = NodeKey.of(self.seed.encode()) if self.seed else find_key()
        except (CommandError, ValueError) as error:
            raise Unreachable(f"the login of {self.user!r} cannot be used: {error}") from error
        if key is None or key.key != wanted:
            raise Unreachable(
                f"the login of {self.user!r} is for key {wanted}, and this machine has "
                f"{key.key if key else 'none'}: RINGRIFT_KEY names the file of its key"
            )
        return key


def claims_in(token: str) -> dict[str, Any]:
    """The claims of a token, not verified. Raises ValueError."""
    try:
        _, body, _ = token.split(".")
        found = msgspec.json.decode(base64.urlsafe_b64decode(f"{body}=="), type=dict[str, Any])
        return found | {"nats": dict(found["nats"]), "sub": str(found["sub"])}
    except (ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise ValueError("no token of a user") from error


def login_for(server: str) -> Login | None:
    """The user in the address, else that in the credentials file, if one is configured. Raises
    Unreachable for an unusable file."""
    address = urlsplit(server)
    if address.username is not None and address.password is not None:
        return Login(unquote(address.username), unquote(address.password))
    path = os.environ.get(CREDENTIALS)
    return read_login(Path(path)) if path else None


def login_beside(role: str) -> Login | None:
    """Another user of the same cluster, if a token for it is in this process's credentials, or the
    file `<role>.creds` beside them. Raises Unreachable for an unusable file."""
    path = os.environ.get(CREDENTIALS)
    if not path:
        return None
    if found := next((one for one in _logins(Path(path)) if role in _tags(one)), None):
        return found
    others = [Path(path).with_name(f"{role}{ending}") for ending in (".creds", ".txt")]
    return next((read_login(other) for other in others if other.is_file()), None)


def beside(name: str) -> Path | None:
    """The path of a file beside this process's credentials; None if they are in no file."""
    path = os.environ.get(CREDENTIALS)
    return Path(path).with_name(name) if path else None


def servers_here() -> str:
    """The addresses of the servers: of the environment, else in the file of credentials, else this
    machine. Raises Unreachable for an unusable file."""
    if given := os.environ.get(SERVER):
        return given
    path = os.environ.get(CREDENTIALS)
    found = _SERVERS.search(_text(Path(path))) if path else None
    return found[1] if found else "nats://127.0.0.1:4222"


def name_here() -> str | None:
    """The name of the node whose credentials this process has; None with those of a person, or
    unusable ones."""
    with contextlib.suppress(Unreachable):
        login = login_for("")
        return login.user if login and login.is_node else None
    return None


def check_name(node: str) -> None:
    """Raise Unreachable if a process would call itself otherwise than its credentials do."""
    if (name := name_here()) not in (None, node):
        raise Unreachable(
            f"the credentials are those of node {name}, not of {node!r}: the servers would refuse "
            "what it writes; give the same name, or none"
        )


def read_login(path: Path) -> Login:
    """The first user in a file. Raises Unreachable."""
    return _logins(path)[0]


def _logins(path: Path) -> list[Login]:
    """The users in a file, one at least."""
    text = _text(path)
    seed = _SEED.search(text)
    try:
        if tokens := _TOKEN.findall(text):
            own = seed[1] if seed else ""
            return [Login(str(claims_in(one)["name"]), "", one, own) for one in tokens]
    except (ValueError, KeyError) as error:
        raise Unreachable(f"{CREDENTIALS}={path} has a damaged token") from error
    user, _, password = text.strip().partition(":")
    if not user or not password or "\n" in password:
        remedy = "`ringrift node admit` and `ringrift cluster init` write such files"
        raise Unreachable(f"{CREDENTIALS}={path} has no token of a user; {remedy}")
    return [Login(user, password)]


def _tags(login: Login) -> list[str]:
    return (claims_in(login.token)["nats"].get("tags") or []) if login.token else []


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unreachable(f"{CREDENTIALS}={path} cannot be read: {reason}") from error


def inbox_prefix(login: Login | None) -> str:
    """The prefix of subjects of answers to this user."""
    return f"_INBOX.{login.user}" if login else "_INBOX"


def wants_tls(server: str) -> bool:
    """Whether nothing may be sent to this address without TLS: because it says so, or because an
    authority was named and the server is on another machine."""
    address = urlsplit(server)
    loopback = address.hostname in ("127.0.0.1", "::1", "localhost")
    return address.scheme == "tls" or (_authority() is not None and not loopback)


def tls_context() -> ssl.SSLContext:
    """The context with which a client verifies servers. Raises Unreachable if the authority's file
    is unusable."""
    return _context(_authority())


def _authority() -> str | None:
    """The file with the authority: that of the environment, else that of the credentials."""
    path = os.environ.get(CREDENTIALS)
    own = path if path and _CERTIFICATE.search(_text(Path(path))) else None
    return os.environ.get(AUTHORITY) or own


@functools.cache
def _context(authority: str | None) -> ssl.SSLContext:
    try:
        if authority is None:
            return ssl.create_default_context()
        text = Path(authority).read_text()
        return ssl.create_default_context(cadata="".join(_CERTIFICATE.findall(text)) or text)
    except (OSError, ValueError, ssl.SSLError) as error:
        problem = "is no readable certificate in PEM"
        raise Unreachable(f"{AUTHORITY}={authority} {problem}: {error}") from error
