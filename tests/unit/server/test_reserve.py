"""The reserve on a voter's disk."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from ringrift.server import reserve

MIB = 1024**2


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The state of the disk, as `shutil.disk_usage` gives it."""
    disk = SimpleNamespace(total=64 * MIB, free=32 * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    return disk


def test_a_reserve_is_given_up_when_the_disk_is_full_and_made_again(
    tmp_path: Path, free: SimpleNamespace
) -> None:
    path = tmp_path / reserve.FILE
    assert reserve.keep(tmp_path) == ""
    assert path.stat().st_size == 2 * MIB
    assert reserve.keep(tmp_path) == ""
    free.free = 0
    assert "is full: its reserve of 2 MB was given up" in reserve.keep(tmp_path)
    assert not path.exists()
    free.free = 3 * MIB
    assert reserve.keep(tmp_path) == ""
    assert not path.exists(), "there is no room for it yet"
    free.free = 9 * MIB
    assert reserve.keep(tmp_path) == ""
    assert path.exists()
