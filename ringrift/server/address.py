"""The address of the server of a data directory, and free ports."""

import hashlib
import os
import socket
from pathlib import Path

import msgspec
from msgspec import Struct

from ringrift.log.errors import ServerError, Unreachable
from ringrift.log.wire import Wire

_FILE = "server.json"
PORT_FIRST, PORTS = 24222, 8000


class ServerAddress(Struct, frozen=True):
    """The content of `server.json`: address, process id and id of a running server, and the
    identity of its data directory, which a copy of the directory does not have."""

    url: str
    pid: int
    server: str = ""
    directory: str = ""

    @property
    def port(self) -> int:
        """The port for clients."""
        return int(self.url.rpartition(":")[2])


def read_address(data: Path) -> ServerAddress | None:
    """Return the address of the server over a data directory, if one was started and not stopped;
    not that in a copy of another directory, whose server is that of the original. Raises
    ServerError."""
    try:
        found = msgspec.json.decode((data / _FILE).read_bytes(), type=ServerAddress)
        return found if found.directory == identity_of(data) else None
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ServerError(f"{data / _FILE} is damaged ({error}); delete it") from error


def write_address(data: Path, address: ServerAddress | None) -> None:
    """Store the address, or delete it. Readers see the old file or the new one, never a part."""
    path = data / _FILE
    if address is None:
        path.unlink(missing_ok=True)
        return
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(msgspec.json.encode(address))
    part.replace(path)


async def find_server(data: Path) -> str:
    """Return the URL of the server of `data`. Raises Unreachable if there is none."""
    address = read_address(data)
    if address is None:
        remedy = f"start `ringrift up --data {data}`, or name one with --server"
        raise Unreachable(f"no server is running for {data}: {remedy}")
    if await server_id(address.url) != address.server:
        remedy = f"start `ringrift up --data {data}`, which takes another port"
        raise Unreachable(f"the server at {address.url} is not that of {data}: {remedy}")
    return address.url


async def server_id(url: str) -> str:
    """The id that a server has from its start to its end. Raises Unreachable, ServerTooOld."""
    wire = await Wire.open([url])
    wire.close()
    return str(wire.info["server_id"])


def identity_of(data: Path) -> str:
    """A text that a directory keeps when it is moved, and that its copy does not have."""
    status = data.stat()
    return f"{status.st_dev}:{status.st_ino}"


def usual_port(data: Path) -> int:
    """The port that the server of a data directory takes if it is free, so that its address is the
    same at every start. It is below those that systems give to outgoing connections."""
    digest = hashlib.sha256(str(data.resolve()).encode("utf-8", "surrogateescape")).digest()
    return PORT_FIRST + int.from_bytes(digest[:4]) % PORTS


def is_free(port: int) -> bool:
    """Whether a port on the loopback interface can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port on the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
