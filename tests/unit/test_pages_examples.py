"""Examples in the pages work: Python sessions and drawn positions."""

from __future__ import annotations

import doctest
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SESSIONS = [page for page in sorted(DOCS.rglob("*.md")) if "```pycon" in page.read_text()]


def script(name: str) -> Any:
    """Return the module of a script of the docs."""
    spec = spec_from_file_location(name, DOCS / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.stem)
def test_the_sessions_of_a_page_work(page: Path) -> None:
    found = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert found.attempted > 0
    assert found.failed == 0


def test_the_pictures_show_what_the_rules_reach() -> None:
    pictures = script("pictures")
    for name, example in pictures.EXAMPLES.items():
        drawn = (pictures.FOLDER / f"{name}.svg").read_text()
        assert pictures.drawn(example) == drawn, "run `python docs/scripts/pictures.py`"
    used = (DOCS / "rules_with_pictures.md").read_text()
    for path in pictures.FOLDER.glob("*.svg"):
        assert path.stem in pictures.EXAMPLES
        assert f"(pictures/{path.name})" in used


def test_the_moving_picture_shows_the_recorded_game() -> None:
    drawn = script("films").drawn_game(str(DOCS / "game.txt"))
    kept = (DOCS / "game.svg").read_text()
    assert drawn == kept, "run `python docs/scripts/films.py game docs/game.txt`"
