"""This machine: its name, threads and memory."""

import contextlib
import os
import re
import socket
import sys
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def node_name() -> str:
    """The host name as a subject token."""
    return re.sub(r"[^a-z0-9_-]", "-", socket.gethostname().lower())[:64] or "node"


def threads() -> int:
    """Threads this process may use: `RINGRIFT_THREADS`, by default one for each core available to
    it. Exits if the variable holds no positive number."""
    given = os.environ.get("RINGRIFT_THREADS")
    if given is not None:
        if not given.isdigit() or int(given) < 1:
            sys.exit(f"RINGRIFT_THREADS={given!r}: give a number of threads, at least 1")
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes(cgroup: Path = CGROUP) -> int:
    """Memory of this machine, or the container's limit if that is less."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # `max`: no limit
        return min(found, int((cgroup / "memory.max").read_text()))
    return found
