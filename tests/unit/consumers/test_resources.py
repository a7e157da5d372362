"""What is in use of a machine, as its kernel's files tell it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.runtime import resources
from ringrift.runtime.machine import memory_bytes
from ringrift.runtime.process import Process
from ringrift.runtime.relief import relieve

GIB = 1024**3


class Gpu:
    """A GPU of 100 units of memory, `used` of which are, `cached` of those by caches."""

    def __init__(self, used: int, cached: int) -> None:
        self.used, self.cached = used, cached

    def is_available(self) -> bool:
        return True

    def mem_get_info(self) -> tuple[int, int]:
        return 100 - self.used, 100

    def empty_cache(self) -> None:
        self.used, self.cached = self.used - self.cached, 0


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(
        "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n"
    )
    return tmp_path


def test_memory_is_what_cannot_be_had_without_swapping(machine: Path) -> None:
    assert resources.ram(machine, machine / "none") == pytest.approx(0.6)


def test_the_limit_of_a_container_counts_if_it_is_tighter_and_file_caches_do_not(
    machine: Path,
) -> None:
    (machine / "memory.max").write_text(f"{4 * GIB}\n")
    (machine / "memory.current").write_text(f"{4 * GIB}\n")
    (machine / "memory.stat").write_text(f"anon 7\ninactive_file {GIB}\n")
    assert resources.ram(machine, machine) == pytest.approx(0.75)
    assert memory_bytes(machine) == 4 * GIB
    (machine / "memory.max").write_text("max\n")
    assert resources.ram(machine, machine) == pytest.approx(0.6)


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    assert resources.ram(tmp_path, tmp_path) is None
    assert resources.files(tmp_path) is None


def test_a_disk_that_is_not_made_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    assert resources.disk(tmp_path / "not" / "yet") == pytest.approx(
        resources.disk(tmp_path), abs=0.01
    )


async def test_gpu_memory_that_is_critical_is_given_back_from_the_caches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = Gpu(used=85, cached=40)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=gpu))
    log = MemoryLog(MemoryBroker())
    process = Process("selfplay", "test", log)
    monkeypatch.setattr(
        "ringrift.runtime.relief.used_shares", lambda data: {"vram": resources.vram()}
    )
    await relieve(process)
    assert (process.pressure.tiers, process.pressure.takes_work) == ({"vram": "critical"}, False)
    await relieve(process)
    assert (process.pressure.tiers, process.pressure.takes_work) == ({"vram": "normal"}, True)
