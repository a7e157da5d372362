"""Every room has a README.md that says what it holds, where to begin, and its law."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ringrift"
ROOMS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
LINES_MAX, ENTRY = 20, re.compile(r"^- ((?:`[\w./]+`(?:, )?)+): ", re.MULTILINE)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_has_a_readme(room: Path) -> None:
    text = (room / "README.md").read_text()
    assert text.startswith(f"# ringrift.{room.name}\n")
    assert len(text.splitlines()) <= LINES_MAX
    assert "\nThe law: " in text
    named = re.findall(r"`([^`]+)`", " ".join(ENTRY.findall(text)))
    assert named
    assert [name for name in named if not (room / name).exists()] == []
