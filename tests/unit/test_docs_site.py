"""The docs site builds without a warning and loads nothing from another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOREIGN = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    found = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return target


def test_the_reference_is_that_of_the_code(site: Path) -> None:
    for page, word in (
        ("commands", "ringrift whatif"),
        ("settings", "promotion.elo1"),
        ("events", "ModelPromoted"),
        ("processes", "loop/promotion.py"),
        ("metrics", "ringrift_consumer_alive"),
        ("python", "Position"),
    ):
        assert word in (site / "reference" / page / "index.html").read_text(), page


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not FOREIGN.search(page.read_text()), page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", style.read_text()), style


def test_scripts_are_not_part_of_the_site(site: Path) -> None:
    assert not list(site.rglob("*.py"))
