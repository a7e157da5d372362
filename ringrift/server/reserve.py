"""Room on a voter's disk that is given up so that its server starts when the disk is full.

A server writes small files before it is ready ("Can't start JetStream: write ... no space left").
Nothing acknowledged is lost then, but a voter that does not start cannot be given room through it
either, nor can it let others delete anything."""

import contextlib
import os
import shutil
from pathlib import Path

FILE = "reserve"
BYTES_MAX = 32 * 1024**2
DISK_SHARE = 32
"""the reserve of a small disk is this part of it"""
ROOM_TIMES = 4
"""it is made again when this many times its size is free"""


def keep(store: Path) -> str:
    """Give up the reserve of a full disk, or make it when there is room; return a line when it was
    given up."""
    disk, path = shutil.disk_usage(store), store / FILE
    size = min(BYTES_MAX, disk.total // DISK_SHARE)
    with contextlib.suppress(OSError):  # it is made the next time
        if path.exists():
            if disk.free < size // 2:
                freed = path.stat().st_size
                path.unlink()
                return (
                    f"the disk of {store} is full: its reserve of {freed / 1e6:.0f} MB was given "
                    "up, so that the server starts; free some room now"
                )
        elif disk.free > ROOM_TIMES * size:
            _allocate(path, size)
    return ""


def _allocate(path: Path, size: int) -> None:
    with path.open("xb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except (OSError, AttributeError):
            path.unlink()
            raise OSError(f"{path}: no reserve") from None
