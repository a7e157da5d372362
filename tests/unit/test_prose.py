"""Plain English: phrases that docstrings, comments, messages and pages must not contain.

`docs/glossary.md` lists the words to use instead."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PHRASES = {
    r"\banew\b": "again, or a verb with re-: rebuild, restart, recreate",
    r"\bfor ever\b": "until cancelled, permanently",
    r"\bwhoever\b": "the process that, anyone who",
    r"\bborders?\b": "threshold",
    r"\bso (?:long|many) (?:is|that is|seconds is)\b": "name the parameter",
    r"\b(?:has|have|had) (?:not )?got on\b|\bgets? on\b": "makes progress",
    r"\bbeside it\b": "next to it, at the same time",
    r"\btold (?:of|by|about)\b|\bis told\b|\bare told\b|\btells? of\b": "report, record, notify",
    r"\bElo an hour\b|\bcosts? an hour\b": "per hour",
    r"\bas if (?:it|they) had never come\b": "exclude",
    r"\bmade good\b": "repaired, recovered",
    r"\bnobody (?:leads|has|knows|may|can|is|was)\b": "say what is missing",
    r"\bheeded\b|\bnought\b|\bhereupon\b|\bthereof\b|\bwherein\b": "a word of today",
    r"\bwardens?\b|\bbrains?\b": "monitor, coordinator",
    r"\bbur(?:y|ies|ied)\b": "dead-letter",
}
"""By pattern, what to write instead."""

# The game has buried rings, and regions have borders; the changelog names what was renamed.
GAME = ("rules", "search", "nets", "insight/board", "test_board")
ALLOWED = {
    r"\bborders?\b": ("rules", "nets"),
    r"\bbur(?:y|ies|ied)\b": GAME,
    r"\bwardens?\b|\bbrains?\b": ("CHANGELOG",),
}
"""By pattern, parts of the paths in which it means something else."""


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of the comments, strings and names of tests of a Python file, of all
    lines of others."""
    text = path.read_text()
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), start=1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string
        elif token.string.startswith("test_"):
            yield token.start[0], token.string.replace("_", " ")


@cache  # every file is read once, not once for each phrase
def lines_of(path: Path) -> list[tuple[int, str]]:
    return list(prose_of(path))


@cache
def pages() -> list[Path]:
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "nats.conf")]
    for folder, pattern in (("ringrift", "*.py"), ("tests", "*.py"), ("docs", "*.md")):
        found += (ROOT / folder).rglob(pattern)
    found += (ROOT / "ops").rglob("*.*")
    return [path for path in found if path.name not in ("test_prose.py", "glossary.md")]


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_is_not_used(phrase: str) -> None:
    pattern = re.compile(phrase, re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in pages()
        if not any(part in str(path) for part in ALLOWED.get(phrase, ()))
        for line, text in lines_of(path)
        if pattern.search(text)
    ]
    assert not found, f"write: {PHRASES[phrase]}"
