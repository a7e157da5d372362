"""A file system for the store of one server, which can lose power, freeze and run full: ext4 in a
file, on a loop device.

For a loss of power the kernel shuts the file system down without flushing its journal, as the
developers of file systems test it: data that was not synced is lost, and the next mount replays the
journal. Writes to a frozen file system wait. The device itself keeps every write: a disk that
misreports its own cache is not modelled."""

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
"""Sparse: only written blocks take space."""
CLOSE_SECONDS_MAX = 10.0
_SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN, `_IOR('X', 125, __u32)`, of Linux's fs/ext4/ext4.h."""
_WITHOUT_FLUSHING_THE_LOG = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH, same file."""
_FREEZE, _THAW = 0xC0045877, 0xC0045878
"""FIFREEZE and FITHAW of include/uapi/linux/fs.h."""


class Disk:
    """The file system in `image`, mounted at the directory `at`."""

    def __init__(self, image: Path, at: Path, size_bytes: int = STORE_BYTES) -> None:
        """Create an empty file system and mount it. Raises OSError."""
        self.at, self._image = at, image
        at.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(size_bytes)
        _run("mkfs.ext4", "-q", "-F", str(image))
        self.mount()

    def mount(self) -> None:
        """Mount it; after a loss of power the journal is replayed. Raises OSError."""
        _run("mount", "-o", "loop", str(self._image), str(self.at))

    def unmount(self) -> None:
        """Unmount it once no file is open. Raises OSError if that takes too long."""
        end = time.monotonic() + CLOSE_SECONDS_MAX
        while True:
            try:
                return _run("umount", str(self.at))
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def lose_power(self) -> None:
        """Lose everything that was not synced. Every call fails until it is mounted again."""
        self._control(_SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING_THE_LOG))

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Make all writes wait until the block ends."""
        self._control(_FREEZE, 0)
        try:
            yield
        finally:
            self._control(_THAW, 0)

    def fill(self) -> Path:
        """Use up all space, and return the file that takes it."""
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
def unavailable() -> str:
    """The reason why this machine provides no such file system; empty if it does."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            disk = Disk(Path(folder, "image"), Path(folder, "disk"), 16 * 1024**2)
        except OSError as error:
            return (
                f"no file system for each server: {error} (needs root, mkfs.ext4 and loop devices)"
            )
        disk.unmount()
    return ""


def _run(*words: str) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise OSError(f"{words[0]}: {(error.stderr or error.stdout).strip()}") from error
