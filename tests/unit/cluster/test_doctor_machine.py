from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ringrift.cli.main import main
from ringrift.cluster.doctor import machine
from ringrift.log.errors import ServerMissing
from ringrift.server.address import ServerAddress, identity_of, write_address


def test_the_development_machine_passes_every_check(tmp_path: Path) -> None:
    found = list(machine.machine_findings(tmp_path))
    assert [finding.level for finding in found if finding.name != "disk"] == ["ok"] * 7
    assert all(finding.remedy for finding in found if finding.level != "ok")


def test_a_check_that_cannot_be_carried_out_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> machine.Finding:
        raise KeyError("uid not found")

    broken.__name__ = "disk"
    monkeypatch.setattr(machine, "disk", broken)
    (found,) = [item for item in machine.machine_findings(tmp_path) if item.name == "disk"]
    assert (found.level, found.text) == ("fail", "cannot be checked: 'uid not found'")


@pytest.mark.parametrize("kind", ["file", "absent/below"])
def test_doctor_looks_at_any_data_directory(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert main(["doctor", "--data", str(tmp_path / kind), "--json"]) in (0, 1)


def test_an_old_python_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert machine.python().level == "fail"


def test_missing_and_old_packages_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["no-such-package>=1", "numpy<99,>=98.1", "nothing; extra == 'test'", "rich"]
    monkeypatch.setattr(machine.importlib.metadata, "requires", lambda _: wanted)
    finding = machine.packages()
    assert finding.level == "fail"
    assert "no-such-package is not installed; numpy is" in finding.text
    assert "needed is <99,>=98.1" in finding.text
    assert "rich" not in finding.text


def test_an_unwritable_cache_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert machine.compiled_code().level == "fail"


def test_a_missing_server_binary_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise ServerMissing("no nats-server binary")

    monkeypatch.setattr(machine, "find_binary", missing)
    finding = machine.binary()
    assert (finding.level, finding.text) == ("fail", "no nats-server binary")


@pytest.mark.parametrize(("free", "level"), [(10**6, "fail"), (10**9, "warn"), (10**12, "ok")])
def test_free_space_is_graded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, level: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert machine.disk(tmp_path / "not" / "there").level == level


def test_a_locked_directory_is_in_use(tmp_path: Path) -> None:
    assert "is not in use" in machine.instance(tmp_path).text
    write_address(tmp_path, ServerAddress("nats://127.0.0.1:1", 77, "S", identity_of(tmp_path)))
    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert "in use: its server is process 77" in machine.instance(tmp_path).text
    os.close(lock)
    assert "is not in use" in machine.instance(tmp_path).text


def test_another_program_on_the_port_of_the_server_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"nats://127.0.0.1:{other.getsockname()[1]}"
        write_address(tmp_path, ServerAddress(url, 77, "S", identity_of(tmp_path)))
        assert machine.instance(tmp_path).level == "warn"


def test_a_damaged_address_file_fails(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text("{")
    assert machine.instance(tmp_path).level == "fail"
