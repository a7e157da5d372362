"""Resources in use, read from files as the kernel writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringrift.runtime import host
from ringrift.runtime.host import memory_bytes
from ringrift.runtime.processes import PROCESSES

GIB = 1024**3


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(
        "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n"
    )
    return tmp_path


def test_memory_in_use_is_memory_not_available_without_swapping(machine: Path) -> None:
    assert host.ram(machine, machine / "none") == pytest.approx(0.6)


def test_the_limit_of_a_container_counts_without_its_file_caches(machine: Path) -> None:
    (machine / "memory.max").write_text(f"{4 * GIB}\n")
    (machine / "memory.current").write_text(f"{4 * GIB}\n")
    (machine / "memory.stat").write_text(f"anon 7\ninactive_file {GIB}\n")
    assert host.ram(machine, machine) == pytest.approx(0.75)
    assert memory_bytes(machine) == 4 * GIB


def test_a_container_without_a_limit_has_the_memory_of_the_machine(machine: Path) -> None:
    (machine / "memory.max").write_text("max\n")
    assert host.ram(machine, machine) == pytest.approx(0.6)
    assert memory_bytes(machine) == memory_bytes(machine / "none")


def test_unknown_shares_are_none(tmp_path: Path) -> None:
    assert host.ram(tmp_path, tmp_path) is None
    assert host.files(tmp_path) is None


def test_a_missing_directory_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    assert host.disk(tmp_path / "not" / "yet") == pytest.approx(host.disk(tmp_path), abs=0.01)


def test_a_process_lets_more_urgent_ones_go_first() -> None:
    words = (
        "from ringrift.runtime.host import yield_to_others as y; import os; y(7); print(os.nice(0))"
    )
    before = os.nice(0)
    found = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) == min(before + 7, 19)


def test_training_comes_first_then_matches_then_games() -> None:
    names = ("trainer", "evaluator", "selfplay")
    nices = [PROCESSES[name].nice for name in names]
    assert nices == sorted(set(nices))
