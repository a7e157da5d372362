"""The pages mention files and commands that exist; commands parse and links resolve."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import cyclopts
import pytest

from ringrift.cli.main import COMMANDS, application

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("ops/*.md"),
        *ROOT.glob("ringrift/**/README.md"),
    ]
)
FILE = re.compile(r"`((?:ringrift|tests|docs|ops|schemas|streams|consumers)/[\w./-]*\.\w+)`")
TEST_FILE = re.compile(r"`(test_\w+\.py)`")
COMMAND = re.compile(r"`ringrift ((?:[a-z][a-z-]*(?: |(?=`)))+)")
"""The words after `ringrift` up to the first option, value or placeholder."""
LINE = re.compile(r"^(?: {4}|\$ |)(?:\.venv/bin/)?ringrift (.+?)(?:  +#.*| #.*|\\)?$")
"""A command in a block of code, without the comment behind it."""
INLINE = re.compile(r"`ringrift ([a-z][^`\n]*)`")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
WRITTEN = {"ops.md": "ops/README.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages of the site that are files elsewhere; those of `reference/` are written from the code."""
PLACEHOLDERS = {"C": "hex8_2p", "T": "hex8_2p", "ROLES": "worker", "HOST": "localhost"}
"""Values that stand for upper-case words; any other stands for 120."""

README_WORDS_MAX = 700

NAMES = {name for commands in COMMANDS.values() for name in commands}
FAMILIES = {name.partition(" ")[0] for name in NAMES if " " in name}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_mentioned_files_exist(page: Path) -> None:
    # Examples create files, and name the test of a new decider.
    text = re.sub(r"(?:Create|Test the decider in)\s+`[^`]+`", "", page.read_text())
    missing = [name for name in FILE.findall(text) if not (ROOT / name).exists()]
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    missing += [name for name in TEST_FILE.findall(text) if name not in tests]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_mentioned_commands_exist(page: Path) -> None:
    for words in COMMAND.findall(page.read_text()):
        first, *rest = words.split()
        known = first in FAMILIES or first in NAMES
        assert known, f"ringrift {words}"
        if first in FAMILIES and rest:
            assert f"{first} {rest[0]}" in NAMES, f"ringrift {words}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) < README_WORDS_MAX


def commands_of(text: str) -> Iterator[str]:
    """Complete commands: lines of blocks, and those in a sentence that have a value or an option.
    Forms with alternatives and options in brackets are left out."""
    found = [match[1] for line in text.splitlines() if (match := LINE.match(line))]
    found += INLINE.findall(FENCE.sub("", text))
    for command in found:
        if command in NAMES | FAMILIES or re.search(r"[\[|]|\.\.\.|\$|<", command):
            continue
        yield command


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_parse(page: Path) -> None:
    app = application(())
    for command in commands_of(page.read_text()):
        words = [
            PLACEHOLDERS.get(word, "120") if re.fullmatch(r"[A-Z][A-Z0-9]*", word) else word
            for word in shlex.split(command)
        ]
        if "--help" in words:
            assert " ".join(words[: words.index("--help")]) in NAMES | FAMILIES, command
            continue
        try:
            app.parse_args(words)
        except cyclopts.CycloptsError as error:
            pytest.fail(f"ringrift {command}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        if re.match(r"(?:https?|mailto):", target):
            continue
        found = page.parent / path if path else page
        if not found.exists() and found.is_relative_to(ROOT / "docs"):
            site = name_of(found.resolve()).removeprefix("docs/")
            if site.startswith("reference/"):
                continue
            found = ROOT / WRITTEN.get(site, site)
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found.read_text()), target


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"[\s]+", "-", heading) for heading in plain}
