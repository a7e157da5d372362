"""Damaged Raft snapshots are found and set aside, and whole ones stay."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ringrift.server.raft_snapshots import ASIDE, damaged, highwayhash, is_whole, set_aside

KEY = bytes(range(32))
HASHES = {
    0: "536ec222de567a90",
    1: "78ddcdc7aa43ab7e",
    3: "803d468aabef6b5c",
    13: "ff41e665ce589aa8",
    16: "32b87ef98934abcf",
    19: "04c571238e51d975",
    31: "685a03cf7c00c79f",
    32: "fc80d5ecd964c9a0",
    33: "fc8131a03cf7902c",
    47: "081e916bc0ba2613",
    64: "ffa6d24c5d2c5475",
}
"""of the bytes 0, 1, 2, ...: the test vectors of github.com/minio/highwayhash"""
STREAM, META = "S-R3F-abc", "_meta_"


@pytest.mark.parametrize(("size", "expected"), HASHES.items())
def test_the_hash_is_highwayhash(size: int, expected: str) -> None:
    assert highwayhash(bytes(range(size)), KEY).hex() == expected


def written(store: Path, group: str, name: str, *, flipped: bool = False) -> Path:
    """A snapshot as a server writes it, or with one changed byte."""
    body = b"state of a group" * 5
    hashed = highwayhash(body, hashlib.sha256(group.encode()).digest())
    content = bytearray(body + hashed)
    content[20] ^= flipped
    path = store / "jetstream" / "$SYS" / "_js_" / group / "snapshots" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_only_the_damaged_snapshot_of_a_stream_is_set_aside(tmp_path: Path) -> None:
    whole = written(tmp_path, "S-R3F-xyz", "snap.2.10")
    rotten = written(tmp_path, STREAM, "snap.2.9", flipped=True)
    (line,) = set_aside(tmp_path)
    assert line.startswith(f"{rotten} was damaged and is {tmp_path / ASIDE}/{STREAM}.snap.2.9 now")
    assert whole.exists()
    assert not rotten.exists()
    assert set_aside(tmp_path) == []


def test_that_of_the_cluster_itself_stays_and_is_named(tmp_path: Path) -> None:
    rotten = written(tmp_path, META, "snap.1.5", flipped=True)
    (line,) = set_aside(tmp_path)
    assert "the server does not start with it" in line
    assert rotten.exists()


def test_the_snapshot_that_a_server_would_start_from_counts(tmp_path: Path) -> None:
    for name in ("snap.2.9", "snap.1.99", "other"):
        written(tmp_path, STREAM, name, flipped=True)
    written(tmp_path, STREAM, "snap.2.10")
    assert list(damaged(tmp_path)) == []
    newest = written(tmp_path, STREAM, "snap.3.1")
    newest.write_bytes(newest.read_bytes()[:20])
    assert list(damaged(tmp_path)) == [newest]


def test_a_snapshot_of_another_group_is_not_whole(tmp_path: Path) -> None:
    content = written(tmp_path, STREAM, "snap.1.1").read_bytes()
    assert is_whole(content, STREAM)
    assert not is_whole(content, "S-R3F-other")
