"""systemd units and launchd files start existing commands and use known keys."""

from __future__ import annotations

import plistlib
import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from ringrift.cli.main import application
from ringrift.cluster.supervisor import SILENT_SECONDS_MAX
from ringrift.runtime.processes import AUTHORS, PROCESSES, of_roles
from ringrift.server.roles import roles

OPS = Path(__file__).parents[3] / "ops"
UNITS = sorted((OPS / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
CONSUMER_MODULES = sorted((OPS.parent / "ringrift" / "consumers").glob("*.py"))
PLISTS = sorted((OPS / "launchd").iterdir())
PROGRAMS = "/opt/ringrift/.venv/bin"
SECTIONS = {".service": {"Unit", "Service", "Install"}, ".timer": {"Unit", "Timer", "Install"}}
KNOWN = {
    "Unit": {"Description", "After", "Wants", "Requisite", "StartLimitIntervalSec"},
    "Service": {
        "Type",
        "WatchdogSec",
        "User",
        "WorkingDirectory",
        "EnvironmentFile",
        "Environment",
        "ExecStart",
        "ExecStartPre",
        "ExecReload",
        "KillSignal",
        "KillMode",
        "TimeoutStopSec",
        "Restart",
        "RestartSec",
        "RestartPreventExitStatus",
        "SuccessExitStatus",
        "StateDirectory",
        "CacheDirectory",
        "OOMScoreAdjust",
        "OOMPolicy",
        "MemoryHigh",
        "MemoryMax",
        "TasksMax",
        "LimitNOFILE",
        "ProtectSystem",
        "ProtectHome",
        "PrivateTmp",
        "NoNewPrivileges",
        "ReadWritePaths",
    },
    "Timer": {"OnActiveSec", "OnUnitActiveSec"},
    "Install": {"WantedBy"},
}
"""of systemd.unit(5), .service(5), .exec(5), .kill(5), .resource-control(5) and .timer(5); those
that we use"""


def entries(path: Path) -> list[tuple[str, str, str]]:
    """Section, key and value of every setting; unlike configparser this allows a key twice."""
    found, section = [], ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((section, key, value))
    return found


def values(path: Path, key: str) -> list[str]:
    return [value for _, name, value in entries(path) if name == key]


def accept(words: list[str]) -> None:
    """Assert that the program of a command line exists and accepts its arguments."""
    program = words[0].removeprefix(f"{PROGRAMS}/")
    if program == "ringrift":
        options = {"${ROLES}": "worker,evaluator", "$NAMES": "--name=pages.example"}
        given = [options.get(word, word) for word in words[1:]]
        application(given).parse_args(given)
    elif program == "python":
        assert words[1] == "-m"
        assert find_spec(words[2].replace("%i", "rater")) is not None
    else:
        assert (program, words[1:]) == ("nats-server", ["-c", "nats.conf"])


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_every_setting_is_known_to_systemd(path: Path) -> None:
    assert {section for section, _, _ in entries(path)} <= SECTIONS[path.suffix]
    assert [key for section, key, _ in entries(path) if key not in KNOWN[section]] == []
    assert all(value for _, _, value in entries(path))


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_every_started_program_exists(path: Path) -> None:
    for start in [*values(path, "ExecStartPre"), *values(path, "ExecStart")]:
        words = shlex.split(start)
        if words[0] != "/bin/sh":
            accept(words)


@pytest.mark.parametrize(
    "name", ["ringrift@.service", "ringrift-node.service", "ringrift-web.service"]
)
def test_watched_services_notify_systemd_and_have_limits(name: str) -> None:
    path = OPS / "systemd" / name
    assert values(path, "Type") == ["notify"]
    assert values(path, "WatchdogSec") == [f"{SILENT_SECONDS_MAX:.0f}"], (
        "as the supervisor of `ringrift up`"
    )
    assert values(path, "Restart") == ["always"]
    assert all(
        values(path, key) for key in ("MemoryMax", "TasksMax", "LimitNOFILE", "TimeoutStopSec")
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not there")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for path in UNITS:  # the programs are not installed here
        (tmp_path / path.name).write_text(path.read_text().replace(f"{PROGRAMS}/", "/bin/true /"))
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / path.name) for path in UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ringrift" not in found.stdout + found.stderr


@pytest.mark.parametrize("path", PLISTS, ids=lambda path: path.name)
def test_launchd_files_start_existing_programs(path: Path) -> None:
    with path.open("rb") as file:
        found = plistlib.load(file)
    assert found["Label"] == path.stem
    assert found["KeepAlive"] is True
    words = found["ProgramArguments"]
    commands = words[2].split(" && exec ") if words[0] == "/bin/sh" else [shlex.join(words)]
    for command in commands:
        accept(shlex.split(command))
    assert all(isinstance(value, str) for value in found.get("EnvironmentVariables", {}).values())


def test_every_consumer_module_is_in_the_table_of_processes() -> None:
    """A process that no role starts would be missing without notice (requirement G19.13)."""
    started = re.compile(r'^    run\("([a-z]+)", main\)$', re.M)
    modules = {name for path in CONSUMER_MODULES for name in started.findall(path.read_text())}
    assert len(modules) >= 11
    assert modules == PROCESSES.keys()


def test_the_readme_names_every_role() -> None:
    text = (OPS / "README.md").read_text()
    assert "ringrift@{" + ",".join(spec.name for spec in of_roles(["coordinator"])) + "}" in text
    assert [
        role for role in roles(AUTHORS) if f"| {role} | " not in text and f"`{role}` " not in text
    ] == []


def test_every_file_that_the_readme_installs_exists() -> None:
    named = set(re.findall(r"ops/[a-z]+/[A-Za-z0-9@.*-]+", (OPS / "README.md").read_text()))
    assert len(named) >= 6
    assert [name for name in sorted(named) if not list(OPS.parent.glob(name))] == []
