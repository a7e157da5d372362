"""The key of this machine: an Ed25519 key (an nkey of a user) in a file that only its owner reads.

The file is made at the first start and never leaves the machine; `ringrift node key` prints the
public half, by which an operator admits the node."""

import functools
import os
import secrets
from pathlib import Path
from typing import Any

from ringrift.errors import CommandError

KEY_FILE = "node.nk"
"""in the data directory"""
KEY = "RINGRIFT_KEY"
"""environment variable with another file"""
SEED_BYTES = 32
USER, ACCOUNT, OPERATOR = 20 << 3, 0, 14 << 3
"""kinds of nkeys, which begin with U, A and O"""


class NodeKey:
    """A key that signs, an `ringrift.events.sealing.Signer`."""

    def __init__(self, pair: Any) -> None:
        self._pair = pair
        self.key: str = pair.public_key.decode()

    @classmethod
    def of(cls, seed: bytes) -> "NodeKey":
        """The key of an encoded seed, such as `SUAB...`. Raises ValueError."""
        import nkeys  # on first use: most commands only read

        try:
            pair = nkeys.from_seed(bytearray(seed))
        except (nkeys.NkeysError, ValueError, TypeError) as error:
            raise ValueError("no seed of an nkey") from error
        return cls(pair)

    @classmethod
    def new(cls, kind: int = USER) -> "NodeKey":
        """A key of which no other copy exists."""
        return cls.of(new_seed(kind))

    @property
    def seed(self) -> str:
        """The secret from which the key is made, encoded."""
        return bytes(self._pair.seed).decode()

    def sign(self, data: bytes) -> bytes:
        """The signature of some bytes, 64 bytes long."""
        return bytes(self._pair.sign(data))


def new_seed(kind: int = USER) -> bytes:
    """A random seed, encoded, for a key of a kind of nkeys."""
    import nkeys

    return bytes(nkeys.encode_seed(secrets.token_bytes(SEED_BYTES), kind))


def key_path(data: Path) -> Path:
    """The file of the key of a data directory."""
    return Path(os.environ.get(KEY) or data / KEY_FILE)


def find_key(data: Path | None = None) -> NodeKey | None:
    """The key of a data directory, by default that of the environment; None if it has none yet.

    Raises CommandError for a file that cannot be used."""
    data = data or Path(os.environ.get("RINGRIFT_DATA", ".ringrift"))
    return _read(key_path(data))


@functools.lru_cache(maxsize=1)
def _known(path: Path, stamp: int) -> NodeKey:
    mode = path.stat().st_mode & 0o077
    if mode:
        raise CommandError(f"{path} can be read by others: `chmod 600 {path}`")
    try:
        return NodeKey.of(path.read_bytes().strip())
    except ValueError as error:
        raise CommandError(f"{path} is {error}: restore it, or remove it for a new one") from error


def _read(path: Path) -> NodeKey | None:
    try:
        return _known(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error


def make_key(data: Path) -> NodeKey:
    """The key of a data directory, a new one if it has none. Raises CommandError."""
    path = key_path(data)
    if found := _read(path):
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f".{path.name}.{os.getpid()}")
        with open(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(new_seed() + b"\n")
        try:
            os.link(mine, path)  # unlike a rename it replaces no key that another process made
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    key = _read(path)
    assert key is not None
    return key
