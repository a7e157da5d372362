"""How much of this machine is in use: memory, GPU memory, disk, file descriptors, each as a share
0..1.

From the kernel's own files, so on Linux only; elsewhere what is not known is left out. In a
container its own limit counts."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sys
from pathlib import Path

from ringrift.events.facts import Resource

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
NODE_WIDE: frozenset[Resource] = frozenset({"ram", "disk"})
"""the others belong to one process"""


def used_shares(data: Path) -> dict[Resource, float]:
    """The share in use of each resource that can be known here; `data` lies on the disk that
    matters."""
    found: dict[Resource, float | None] = {
        "ram": ram(),
        "vram": vram(),
        "disk": disk(data),
        "files": files(),
    }
    return {name: min(max(share, 0.0), 1.0) for name, share in found.items() if share is not None}


def ram(proc: Path = _PROC, cgroup: Path = _CGROUP) -> float | None:
    """Memory that cannot be had without swapping, of the machine or of the container's limit,
    whichever is tighter."""
    shares = []
    with contextlib.suppress(OSError, ValueError, KeyError, ZeroDivisionError):
        lines = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines())
        shares.append(1.0 - _kilobytes(lines["MemAvailable"]) / _kilobytes(lines["MemTotal"]))
    with contextlib.suppress(OSError, ValueError, KeyError, ZeroDivisionError):  # `max`: no limit
        limit, current = (
            int((cgroup / "memory.max").read_text()),
            int((cgroup / "memory.current").read_text()),
        )
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        shares.append((current - int(stat["inactive_file"])) / limit)
    return max(shares, default=None)


def memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Memory of this machine, or the container's limit if that is less."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # `max`: no limit
        return min(found, int((cgroup / "memory.max").read_text()))
    return found


def vram() -> float | None:
    """GPU memory, if this process has loaded torch anyway and there is a GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return float(1.0 - free / total)


def disk(data: Path) -> float | None:
    """The disk under `data`."""
    with contextlib.suppress(OSError, ZeroDivisionError):
        usage = shutil.disk_usage(
            next(path for path in (data.absolute(), *data.absolute().parents) if path.exists())
        )
        return 1.0 - usage.free / (usage.used + usage.free)  # what is kept for root is nobody's
    return None


def files(proc: Path = _PROC) -> float | None:
    """File descriptors of this process, of its soft limit."""
    with contextlib.suppress(OSError, ZeroDivisionError):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return len(os.listdir(proc / "self" / "fd")) / limit if limit > 0 else None
    return None


def _kilobytes(text: str) -> int:
    return int(text.split()[0])
