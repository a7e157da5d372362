"""The layout law: who may import whom, and what the pure part must never touch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ringrift"
GAME = {"rules", "search", "nets"}
LOG = {"events", "log"}
PROCESS = GAME | LOG | {"server", "deciders", "learning", "runtime"}
MAY_IMPORT: dict[str, set[str]] = {
    "rules": set(),
    "search": {"rules", "nets"},
    "nets": {"rules"},
    "learning": GAME | {"events"},
    "events": set(),
    "deciders": {"events"},
    "log": {"events", "server"},
    "server": LOG,
    "runtime": LOG | {"deciders"},
    "consumers": PROCESS,
    "insight": PROCESS | {"consumers", "cli", "cluster"},
    "cluster": PROCESS | {"consumers", "insight", "cli", "tools"},
    "cli": PROCESS | {"consumers", "insight", "cluster", "tools"},
    "tools": PROCESS | {"consumers", "insight", "cluster", "cli"},
}
IMPURE = {"asyncio", "time", "random", "torch", "os", "socket", "nats"}


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_packages_import_only_what_they_may(package):
    for path in (PACKAGE / package).rglob("*.py"):
        ours = {name.split(".")[1] for name in imports_of(path) if name.startswith("ringrift.")}
        ours.discard("errors")
        surplus = ours - MAY_IMPORT[package] - {package}
        assert not surplus, f"{path.relative_to(PACKAGE)} imports {sorted(surplus)}"


def test_every_package_is_under_the_law():
    assert {
        path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"
    } == set(MAY_IMPORT)


def test_decisions_are_pure():
    for path in (PACKAGE / "deciders").rglob("*.py"):
        roots = {name.split(".")[0] for name in imports_of(path)}
        assert not roots & IMPURE, f"{path.name} imports {sorted(roots & IMPURE)}"


def test_nothing_speaks_of_one_machine():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert "/work/" not in text, path
        assert "/root/" not in text, path
