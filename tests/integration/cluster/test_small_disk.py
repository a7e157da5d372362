"""`ringrift up` and `cluster up` on a full disk: one line says why, and there is a reserve to start
with."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringrift.cli.main import main
from ringrift.cluster.local import LocalCluster
from ringrift.log.errors import DiskFull
from ringrift.server import reserve


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path)]
    try:
        subprocess.run(mounting, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(disk: Path) -> Path:
    """Use up all room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk did not fill")


@pytest.mark.parametrize("command", [["up", "--no-web"], ["cluster", "up"]])
def test_one_line_says_that_the_disk_is_full(
    disk: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    filler = fill(disk)
    assert main([*command, "--data", str(disk / "data")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "free some" in said[0]
    filler.unlink()


def test_a_local_cluster_gives_its_reserve_up_and_else_is_not_started(disk: Path) -> None:
    # given three voters with their reserves on one disk that is full
    cluster = LocalCluster.create(disk / "c", 3, users=False, tls=False)
    stores = [disk / "c" / "voters" / member.name / "nats" for member in cluster.members]
    for store in stores:
        store.mkdir()
    said: list[str] = []
    cluster.keep_reserves(said.append)
    assert [(store / reserve.FILE).exists() for store in stores] == [True] * 3
    fill(disk)
    # when they are to start, then reserves are given up, which is said
    cluster.keep_reserves(said.append)
    assert len(said) == 1
    assert "its reserve of 2 MB was given up" in said[0]
    # and when that is used too, in the end nothing is started
    for store in stores:
        (store / reserve.FILE).unlink(missing_ok=True)
    fill(disk)
    with pytest.raises(DiskFull, match=r"no space left for .* free some and start again"):
        cluster.keep_reserves(said.append)
