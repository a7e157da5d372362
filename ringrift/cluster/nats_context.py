"""Contexts of the `nats` command line: a named file with server, user, authority and inbox prefix.

$XDG_CONFIG_HOME/nats/context/NAME.json     ~/.config without that variable"""

import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ringrift.errors import CommandError
from ringrift.log.login import AUTHORITY, CREDENTIALS, Login, login_for, read_login
from ringrift.log.topology import FLEET_INBOX
from ringrift.log.wire import shown_address, split_servers
from ringrift.server.accounts import write_secret
from ringrift.server.configuration import VOTER_FILE

USUAL_NAME = "ringrift"
VIEW = "stream view EVENTS"
LOOK = {"system": "server ls", "scrubber": "request '$SYS.REQ.SERVER.PING.JSZ' '{}'"}
"""what users of the servers' account look at, who read no streams"""


class NatsContext(Struct, frozen=True, omit_defaults=True):
    """The fields of a context that are written; the tool has more."""

    description: str
    url: str
    creds: str = ""
    user: str = ""
    password: str = ""
    ca: str = ""
    inbox_prefix: str = ""


def of_environment(server: str) -> NatsContext:
    """The context of a server with the user and authority that commands use. Raises
    Unreachable."""
    login = login_for(server)
    addresses = ",".join(map(shown_address, split_servers(server)))
    authority = os.environ.get(AUTHORITY, "")
    return _context(
        login,
        Path(os.environ.get(CREDENTIALS, "")),
        description="RingRift",
        url=addresses,
        ca=str(Path(authority).resolve()) if authority else "",
    )


def of_cluster(folder: Path, role: str) -> NatsContext:
    """The context of a role of the cluster whose files are in `folder`. Raises CommandError,
    Unreachable."""
    voters = [_voter(path) for path in sorted(folder.glob(f"voters/*/{VOTER_FILE}"))]
    if not voters:
        raise CommandError(f"{folder} has no voters: name the folder that `cluster init` wrote")
    path = folder / "credentials" / f"{role}.creds"
    login = read_login(path) if (folder / "credentials").is_dir() else None
    tls = any("tls" in voter for voter in voters)
    scheme = "tls" if tls else "nats"
    return _context(
        login,
        path,
        description=f"RingRift as {role}",
        url=",".join(f"{scheme}://{_address(voter)}" for voter in voters),
        ca=str((folder / "authority" / "ca.pem").resolve()) if tls else "",
    )


def _context(login: Login | None, path: Path, **fields: str) -> NatsContext:
    """The context of a user whose credentials are in a file, or in the address."""
    found = NatsContext(**fields)
    if login is None:
        return found
    inbox = f"{FLEET_INBOX}.{login.user}"
    if not login.token:
        return replace(found, user=login.user, password=login.password, inbox_prefix=inbox)
    if not login.seed:
        raise CommandError(
            f"{path} has no seed, which the tool needs: use the credentials of a person, such as "
            "those that `ringrift cluster init` writes for oncall"
        )
    return replace(found, creds=str(path.resolve()), inbox_prefix=inbox)


def _voter(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def _address(voter: dict[str, Any]) -> str:
    """The host and port at which clients reach a voter."""
    return voter.get("client_advertise") or f"{voter.get('host')}:{voter.get('port')}"


def path_of(name: str) -> Path:
    """The file of a context. Raises CommandError."""
    if not name or name.startswith(".") or set(name) & set('/\\ \t\n*>:"'):
        raise CommandError(f"{name!r} is no name of a context: use letters, digits, - and _")
    try:
        root = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    except RuntimeError as error:
        raise CommandError("the user has no home directory: set XDG_CONFIG_HOME") from error
    return Path(root) / "nats" / "context" / f"{name}.json"


def write(name: str, context: NatsContext) -> Path:
    """Write a context, readable by its owner only, and return its file. Raises CommandError,
    OSError."""
    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_secret(path, msgspec.json.format(msgspec.json.encode(context), indent=2).decode())
    return path


def line_to_type(server: str, making: str = "ringrift context") -> str:
    """The command line that looks at the log with the tool, preceded by `making` unless the usual
    context is that of this server."""
    looking = f"nats --context {USUAL_NAME} {VIEW}"
    try:
        known = msgspec.json.decode(path_of(USUAL_NAME).read_bytes(), type=NatsContext)
    except (CommandError, OSError, msgspec.DecodeError):
        return f"{making} && {looking}"
    shown = set(map(shown_address, split_servers(server)))
    return looking if shown & set(known.url.split(",")) else f"{making} && {looking}"
