"""The pages mention files and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringrift.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("ops/*.md")])
FILE = re.compile(r"`((?:ringrift|tests|docs|ops|schemas|streams|consumers)/[\w./-]*\.\w+)`")
TEST_FILE = re.compile(r"`(test_\w+\.py)`")
COMMAND = re.compile(r"`ringrift ((?:[a-z][a-z-]*(?: |(?=`)))+)")
"""The words after `ringrift` up to the first option, value or placeholder."""

NAMES = {name for commands in COMMANDS.values() for name in commands}
FAMILIES = {name.partition(" ")[0] for name in NAMES if " " in name}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mentioned_files_exist(page: Path) -> None:
    # Examples create files, and name the test of a new decider.
    text = re.sub(r"(?:Create|Test the decider in)\s+`[^`]+`", "", page.read_text())
    missing = [name for name in FILE.findall(text) if not (ROOT / name).exists()]
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    missing += [name for name in TEST_FILE.findall(text) if name not in tests]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mentioned_commands_exist(page: Path) -> None:
    for words in COMMAND.findall(page.read_text()):
        first, *rest = words.split()
        known = first in FAMILIES or first in NAMES
        assert known, f"ringrift {words}"
        if first in FAMILIES and rest:
            assert f"{first} {rest[0]}" in NAMES, f"ringrift {words}"
