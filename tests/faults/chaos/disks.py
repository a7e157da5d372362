"""A file system of its own for a server's store, that can lose power, stand still and run full:
ext4 in a file, on a loop device.

Losing power is what file-system developers test with: the kernel shuts the file system down without
flushing its journal, so that what no sync has brought to the device is gone, and the next mount
replays the journal. Standing still is a frozen file system: who writes waits. The device itself
keeps what it was given: a disk that lies about its own cache is not modelled."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

STORE_BYTES = 2 * 1024**3
"""sparse: only what is written takes room"""
CLOSE_SECONDS_MAX = 10.0
_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN, `_IOR('X', 125, __u32)`, as in Linux's fs/ext4/ext4.h"""
_WITHOUT_FLUSHING_THE_LOG = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH, same file"""
_FREEZE, _THAW = 0xC0045877, 0xC0045878
"""FIFREEZE and FITHAW of include/uapi/linux/fs.h"""


class Disk:
    """The file system in `image`, mounted at the directory `at`."""

    def __init__(self, image: Path, at: Path, size_bytes: int = STORE_BYTES) -> None:
        """Makes it, empty. Raises OSError."""
        self.at, self._image = at, image
        at.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(size_bytes)
        _run("mkfs.ext4", "-q", "-F", str(image))
        self.mount()

    def mount(self) -> None:
        """Mounts it; after a loss of power the journal is replayed. Raises OSError."""
        _run("mount", "-o", "loop", str(self._image), str(self.at))

    def unmount(self) -> None:
        """Once nobody has a file open any more. Raises OSError if that takes too long."""
        end = time.monotonic() + CLOSE_SECONDS_MAX
        while True:
            try:
                return _run("umount", str(self.at))
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def lose_power(self) -> None:
        """What was not synced is gone; until it is mounted anew every call fails."""
        self._control(_SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING_THE_LOG))

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Whoever writes waits until the block ends."""
        self._control(_FREEZE, 0)
        try:
            yield
        finally:
            self._control(_THAW, 0)

    def fill(self) -> Path:
        """Leaves no room, and returns the file that takes it: delete it to make some."""
        filler = self.at / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            for size_bytes in (1024**2, 1024):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size_bytes):
                        os.fsync(file.fileno())
        return filler

    def _control(self, request: int, argument: int | bytes) -> None:
        handle = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, request, argument)
        finally:
            os.close(handle)


@functools.cache
def why_none() -> str:
    """Why this machine gives no such file system, empty if it does."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            disk = Disk(Path(folder, "image"), Path(folder, "disk"), 16 * 1024**2)
        except OSError as error:
            return f"no file system of its own for each server: {error} (takes root, mkfs.ext4 and loop devices)"
        disk.unmount()
    return ""


def _run(*words: str) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise OSError(f"{words[0]}: {(error.stderr or error.stdout).strip()}") from error
