"""What identifies a voter, and the check that its configuration still fits its store.

JetStream deletes what it takes for another server's: after a change of the server's name, of the
account of the servers, or from a single server to a voter, it deletes all streams of the store
within seconds, without a word. So the identity is written to the store when it is first used, and
`check` compares before each start.

<home>/ops/identity.json   what `ringrift cluster init` made this directory for, and whether its
                           store may be empty because it is new
<store>/ringrift.json      the stamp: the identity with which the store was first used
"""

import contextlib
import hashlib
import math
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ringrift.log.diagnostics import logger
from ringrift.log.errors import ServerError
from ringrift.log.holdings import CLUSTER, DISK_USED
from ringrift.server import raft_snapshots
from ringrift.server.conf_text import read_conf
from ringrift.server.configuration import CONF_FILE, VOTER_FILE, as_json, fitted

IDENTITY_FILE, STAMP_FILE = "ops/identity.json", "ringrift.json"
GLOBAL_ACCOUNT, SYSTEM_ACCOUNT = "$G", "$SYS"
"""without an operator; with one, accounts are named by their public keys"""
MB = 1e6
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DEFAULT_STORE = "/tmp/nats"
_T = TypeVar("_T")


class Identity(Struct, frozen=True, kw_only=True):
    """What a server takes its store for its own by."""

    name: str
    clustered: bool
    account: str = GLOBAL_ACCOUNT
    """of the streams"""
    system_account: str = SYSTEM_ACCOUNT
    cluster: str = ""
    """made by `ringrift cluster init`, the same for all its voters; empty before it was known"""


class Made(Struct, frozen=True):
    """What a directory was made for. `new`: its store has never been used."""

    cluster: str
    name: str
    clustered: bool
    new: bool = True


def check(
    home: Path,
    *,
    conf: str = CONF_FILE,
    empty: bool = False,
    report: Callable[[str], None] = lambda text: logger().warning("voter", text=text),
) -> tuple[Identity, Path]:
    """Compare the configuration in `home` with the stamp of its store, write the stamp if the store
    is used for the first time, set the limit of a voter's streams by the size of its disk, set
    damaged Raft snapshots aside and report them, and return the identity and the store. No server
    runs on it.

    `empty` says that the store may be empty although the voter is not new. Raises ServerError with
    what would be lost."""
    identity, store = configured(home, conf)
    made = read_made(home)
    if made and identity.cluster not in ("", made.cluster):
        raise ServerError(
            f"{home / VOTER_FILE} is that of a voter of cluster {identity.cluster}, and "
            f"{home / IDENTITY_FILE} of one of {made.cluster}: use files of one "
            "`ringrift cluster init`"
        )
    identity = replace(identity, cluster=made.cluster if made else identity.cluster)
    stamp = read_stamp(store) or _found(store, identity.name)
    if stamp is None and made and not made.new and not empty:
        raise ServerError(
            f"the store {store} is empty, but voter {identity.name} was started before: its disk "
            "was lost, or the path is another. If the other voters have the log, `ringrift voter "
            "check --empty` lets it copy everything once; if they are empty too, start none of "
            "them and use `ringrift cluster rescue` with the disk that is left"
        )
    if stamp is not None and (why := contradiction(identity, stamp)):
        raise ServerError(f"{why} The store {store} holds {content(store)}.")
    with contextlib.suppress(OSError):  # the server says why its store cannot be written
        if stamp is None or read_stamp(store) is None:
            _write_stamp(store, identity)
        if made and made.new:
            write_made(home, replace(made, new=False))
        if identity.clustered:
            _fit(home / conf, store)
            for line in raft_snapshots.set_aside(store):
                report(line)
    return identity, store


def _fit(conf: Path, store: Path) -> None:
    text = conf.read_text(errors="surrogateescape")
    if (fit := fitted(text, store)) != text:
        _write(conf, fit.encode(errors="surrogateescape"), like=conf.stat())


def contradiction(now: Identity, stamp: Identity) -> str:
    """What would be lost if a server of the identity `now` used a store with this stamp; empty if
    nothing would."""
    if stamp.clustered and not now.clustered:
        return (
            f"the store is that of voter {stamp.name} of a cluster, which a single server does not "
            "read: `ringrift cluster rescue` makes a single server's store of it."
        )
    if now.clustered and not stamp.clustered:
        return (
            "the store is that of a single server, whose streams a cluster deletes: start the "
            "voters with empty stores and use `ringrift cluster grow --from`."
        )
    if now.system_account != stamp.system_account:
        return (
            f"the system account is {now.system_account!r} and was {stamp.system_account!r}: with "
            "another name all voters delete every stream half a minute after their start."
        )
    if now.name != stamp.name:
        return (
            f"server_name is {now.name!r}, and the store was written by {stamp.name!r}: a server "
            "of another name deletes every stream in it."
        )
    if now.account != stamp.account:
        return (
            f"the users are in account {now.account!r}, and the streams in {stamp.account!r}: they "
            "would see no streams. Make a new cluster, and `ringrift cluster grow --from` this one."
        )
    if now.cluster and stamp.cluster and now.cluster != stamp.cluster:
        return (
            f"the store belongs to cluster {stamp.cluster}, and the configuration to "
            f"{now.cluster}: it would join another log."
        )
    return ""


def configured(home: Path, conf: str = CONF_FILE) -> tuple[Identity, Path]:
    """The identity that the configuration in `home` gives a server, and its store. Raises
    ServerError."""
    settings = read_conf(home / conf)
    jetstream = settings.get("jetstream")
    options = jetstream if isinstance(jetstream, dict) else {}
    stores = [options[key] for key in ("store_dir", "storedir", "store") if key in options]
    cluster, metadata = settings.get("cluster"), settings.get("server_metadata")
    identity = Identity(
        cluster=str(metadata.get(CLUSTER, "")) if isinstance(metadata, dict) else "",
        name=str(settings.get("server_name", settings.get("name", ""))),
        clustered=isinstance(cluster, dict) and bool(cluster),
        account=_account(settings),
        system_account=str(settings.get("system_account", settings.get("system", SYSTEM_ACCOUNT))),
    )
    return identity, home / str(stores[0] if stores else _DEFAULT_STORE)


def _account(settings: dict[str, Any]) -> str:
    """The account that clients of the configuration are in."""
    system = settings.get("system_account", SYSTEM_ACCOUNT)
    if settings.get("operator") or settings.get("operators"):
        known = settings.get("resolver_preload")
        keys = sorted(key.upper() for key in (known if isinstance(known, dict) else {}))
        return ", ".join(key for key in keys if key != system) or "that nothing names"
    users = settings.get("authorization")
    accounts = settings.get("accounts")
    named = accounts if isinstance(accounts, dict) else {}
    others = [
        name
        for name, account in named.items()
        if name.upper() != str(system).upper() and isinstance(account, dict)
        if account.get("users")
    ]
    return str(others[0]).upper() if others and not users else GLOBAL_ACCOUNT


def read_stamp(store: Path) -> Identity | None:
    """The identity with which a store was first used. Raises ServerError."""
    return _read(store / STAMP_FILE, Identity)


def read_made(home: Path) -> Made | None:
    """What a directory was made for; None if an older program made it. Raises ServerError."""
    return _read(home / IDENTITY_FILE, Made)


def write_made(home: Path, made: Made) -> None:
    """Write what a directory is made for."""
    _write(home / IDENTITY_FILE, msgspec.json.encode(made))


def note_disk(home: Path, used: float) -> bool:
    """Note in the configuration which share of the voter's disk is in use, in whole hundredths; the
    server tells it to all who may ask what it holds. Whether it has changed, so that the server has
    to read its configuration again. Raises ServerError if the file is not as `ringrift cluster
    init` writes it, or cannot be written."""
    path, share = home / VOTER_FILE, f"{math.floor(used * 100) / 100:.2f}"
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        metadata = settings.get("server_metadata", {})
        if metadata.get(DISK_USED) == share:
            return False
        settings["server_metadata"] = metadata | {DISK_USED: share}
        _write(path, as_json(settings).encode(), like=path.stat())
    except (OSError, msgspec.DecodeError) as error:
        raise ServerError(f"{path}: how full the disk is cannot be noted ({error})") from error
    return True


def new_cluster() -> str:
    """An identity for a cluster."""
    return secrets.token_hex(8)


def content(store: Path) -> str:
    """What a store holds, in words."""
    names = sorted(path.name for _, path in streams_in(store))
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    count = f"{len(names)} stream{'s' * (len(names) != 1)}"
    return f"{count}, {size / MB:,.0f} MB" if names else "no streams"


def streams_in(store: Path) -> Iterator[tuple[str, Path]]:
    """The account and directory of every stream in a store."""
    for path in sorted((store / "jetstream").glob("*/streams/*")):
        if path.is_dir():
            yield path.parts[-3], path


def _found(store: Path, name: str) -> Identity | None:
    """The identity that can be read from a store without a stamp: it was used by an older program,
    or without the check."""
    metas = sorted((store / "jetstream").glob("*/_js_/_meta_"))
    accounts = sorted({account for account, _ in streams_in(store)})
    if not metas and not accounts:
        return None
    peers = _peers(metas[0]) if metas else b""
    known = not peers or peer_id(name).encode() in peers
    return Identity(
        name=name if known else "another voter",
        clustered=bool(metas),
        account=GLOBAL_ACCOUNT if GLOBAL_ACCOUNT in accounts or not accounts else accounts[0],
        system_account=metas[0].parts[-3] if metas else SYSTEM_ACCOUNT,
    )


def _peers(meta: Path) -> bytes:
    try:
        return (meta / "peers.idx").read_bytes()
    except FileNotFoundError:
        return b""


def peer_id(name: str) -> str:
    """The id that servers give a server by its name (`getHash` of nats-server)."""
    return "".join(_DIGITS[byte % 62] for byte in hashlib.sha256(name.encode()).digest()[:8])


def _write_stamp(store: Path, identity: Identity) -> None:
    store.mkdir(parents=True, exist_ok=True)
    _write(store / STAMP_FILE, msgspec.json.encode(identity))


def _read(path: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ServerError(
            f"{path} cannot be read ({error}); it names the voter that owns the store"
        ) from error


def _write(path: Path, content: bytes, like: os.stat_result | None = None) -> None:
    """Write a file whole or not at all, `like` one that it replaces: with its owner and mode."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.touch(mode=0o600 if like else 0o666)
    if like:
        os.chown(part, like.st_uid, like.st_gid)
        part.chmod(like.st_mode)
    part.write_bytes(content.rstrip() + b"\n")
    part.replace(path)
