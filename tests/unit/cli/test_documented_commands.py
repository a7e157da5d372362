"""Every command line in documentation, messages and docstrings exists, with its options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringrift.cli.main import COMMANDS, FAMILIES, application

ROOT = Path(__file__).parents[3]
FILES = [
    path
    for pattern in ("*.md", "docs/**/*.md", "ops/**/*.md", "ops/**/*.yml", "ringrift/**/*.py")
    for path in sorted(ROOT.glob(pattern))
    if path.name != "CHANGELOG.md"
]
NAMES = {name for commands in COMMANDS.values() for name in commands}
COMMAND_LINE = re.compile(r"`ringrift ([a-z][^`]*)`|^ringrift ([a-z].*)$", re.M)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
APP = application(())


def options_of(name: str) -> set[str]:
    app = APP
    for word in name.split():
        app = app[word]
    return {name for argument in app.assemble_argument_collection() for name in argument.names}


def problems(line: str) -> list[str]:
    """Commands and options in a command line that do not exist; `a|b` means two commands."""
    first, *rest = line.split()
    names = [first]
    if first in FAMILIES:
        last = rest[0] if rest else ""
        names = [f"{first} {word}" for word in re.split(r"[|,]", last) if word.isalpha()]
    unknown = [name for name in names if name not in NAMES and name.replace(" ", "").isalpha()]
    known = [name for name in names if name in NAMES]
    options = set().union(*(options_of(name) for name in known), {"--help"})
    return unknown + [word for word in OPTION.findall(line) if known and word not in options]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("status --json", []),
        ("events tail|show SEQ", []),
        ("statsu", ["statsu"]),
        ("cluster grew --from URL", ["cluster grew"]),
        ("status --jsn", ["--jsn"]),
    ],
)
def test_unknown_commands_and_options_are_found(line: str, found: list[str]) -> None:
    assert problems(line) == found


def test_documented_commands_exist() -> None:
    wrong = {}
    for path in FILES:
        for match in COMMAND_LINE.finditer(path.read_text()):
            if found := problems(match[1] or match[2]):
                wrong[f"{path.relative_to(ROOT)}: {match[0]}"] = found
    assert wrong == {}
