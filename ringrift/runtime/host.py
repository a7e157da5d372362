"""This machine: its name, threads and memory, and the share of each resource in use, 0 to 1.

The shares come from the Linux kernel; on other systems those that are unknown are left out. In a
container its own limit counts."""

import contextlib
import ctypes
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import ringrift
from ringrift.events.facts import Resource
from ringrift.log.login import name_here

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")
GIT_SECONDS_MAX = 5.0
GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""present where torch may find a GPU: drivers of NVIDIA, of AMD, and of Windows' subsystem"""
NODE_WIDE: frozenset[Resource] = frozenset({"ram", "disk"})
"""resources of the whole node; the others belong to one process"""


def node_name() -> str:
    """The name in this node's credentials, else the host name, as a subject token."""
    if name := name_here():
        return name
    return re.sub(r"[^a-z0-9_-]", "-", socket.gethostname().lower())[:64] or "node"


def commit() -> str:
    """The commit of the checkout that the program runs from; empty without one."""
    root = Path(ringrift.__file__).parents[1]
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS_MAX)
            return done.stdout.strip()
    return ""


def version() -> str:
    """Version of the program, with the commit if it runs from a checkout."""
    here = commit()
    return f"{ringrift.__version__}+{here}" if here else ringrift.__version__


def has_gpu_device() -> bool:
    """Whether torch may find a GPU here, without importing it."""
    return any(path.exists() for path in GPU_DEVICES)


def threads() -> int:
    """Threads this process may use: `RINGRIFT_THREADS`, by default one for each core available to
    it. Exits if the variable holds no positive number."""
    given = os.environ.get("RINGRIFT_THREADS")
    if given is not None:
        if not given.isdigit() or int(given) < 1:
            sys.exit(f"RINGRIFT_THREADS={given!r}: give a number of threads, at least 1")
        return int(given)
    return cores()


def cores() -> int:
    """Cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def yield_to_others(nice: int) -> None:
    """Lower the priority of this process, as far as the system allows: more urgent work on the same
    cores goes first."""
    if nice:
        with contextlib.suppress(OSError):
            os.nice(nice)
        # Linux groups the processes of a session, and compares groups before processes
        with contextlib.suppress(OSError):
            (PROC / "self" / "autogroup").write_text(str(nice))


def return_memory() -> None:
    """Return to the system what this process has freed and the C library keeps."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)


def memory_bytes(cgroup: Path = CGROUP) -> int:
    """Memory of this machine, or the container's limit if that is less."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # `max`: no limit
        return min(found, int((cgroup / "memory.max").read_text()))
    return found


def used_shares(data: Path) -> dict[Resource, float]:
    """The share in use of each resource known here; `data` is on the disk to look at."""
    found: dict[Resource, float | None] = {
        "ram": ram(),
        "vram": vram(),
        "disk": disk(data),
        "files": files(),
    }
    return {name: min(max(share, 0.0), 1.0) for name, share in found.items() if share is not None}


def ram(proc: Path = PROC, cgroup: Path = CGROUP) -> float | None:
    """Memory that is not available without swapping, of the machine or of the container's limit,
    whichever is tighter."""
    shares = []
    with contextlib.suppress(OSError, ValueError, KeyError, ZeroDivisionError):
        lines = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines())
        available, total = (lines[name].split()[0] for name in ("MemAvailable", "MemTotal"))
        shares.append(1.0 - int(available) / int(total))
    with contextlib.suppress(OSError, ValueError, KeyError, ZeroDivisionError):  # `max`: no limit
        limit = int((cgroup / "memory.max").read_text())
        current = int((cgroup / "memory.current").read_text())
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        shares.append((current - int(stat["inactive_file"])) / limit)
    return max(shares, default=None)


def vram() -> float | None:
    """GPU memory; None without a GPU or as long as this process has not loaded torch."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return float(1.0 - free / total)


def gpu() -> bool:
    """Whether torch can use a GPU. Without the driver of one, torch is not loaded: it takes seconds
    and 270 MB."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


def disk(data: Path) -> float | None:
    """The disk that holds `data`, or would once it is created."""
    path = data.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    with contextlib.suppress(OSError, ZeroDivisionError):
        usage = shutil.disk_usage(path)
        return 1.0 - usage.free / (usage.used + usage.free)  # without what is reserved for root
    return None


def files(proc: Path = PROC) -> float | None:
    """File descriptors of this process, relative to its soft limit."""
    with contextlib.suppress(OSError, ZeroDivisionError):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return len(os.listdir(proc / "self" / "fd")) / limit if limit > 0 else None
    return None
