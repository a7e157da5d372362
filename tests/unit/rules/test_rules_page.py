"""`docs/rules.md` has every section that the code cites, and the constants of the code."""

from __future__ import annotations

import re
from pathlib import Path

from ringrift.rules import CONFIGS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/rules.md").read_text()
NUMBER = r"\d{1,2}(?:\.\d)?"
CITED = re.compile(rf"\bsections? (?:of )?({NUMBER}(?:(?:, | and | to |, and ){NUMBER})*)")
IN_BRACKETS = re.compile(rf"\(({NUMBER})(?: step \d)?(?:, (E\d+))?\)")
"""the short form in the rules themselves: (8.2 step 2), (10.2, E1)"""


def cited_sections() -> dict[str, str]:
    """The file of every cited section."""
    found: dict[str, str] = {}
    for folder in ("ringrift", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            places = CITED.findall(text)
            if path.is_relative_to(ROOT / "ringrift/rules"):
                pairs = IN_BRACKETS.findall(text)
                places += [section for section, _ in pairs if "." in section]
                places += [note for _, note in pairs if note]
            for place in places:
                for section in re.findall(rf"E\d+|{NUMBER}", place):
                    found[section] = str(path.relative_to(ROOT))
    return found


def test_every_cited_section_exists() -> None:
    headings = set(re.findall(rf"^##+ ({NUMBER})\.? ", PAGE, re.MULTILINE))
    headings |= set(re.findall(r"^\| (E\d+) \|", PAGE, re.MULTILINE))
    cited = cited_sections()
    assert len(cited) > 35
    assert {section: path for section, path in cited.items() if section not in headings} == {}


def test_the_page_cites_sections_and_notes_that_exist() -> None:
    headings = set(re.findall(rf"^##+ ({NUMBER})\.? ", PAGE, re.MULTILINE))
    referred = re.findall(rf"\bsections? ({NUMBER})\b|\((\d\d?\.\d)\)", PAGE)
    assert {one or other for one, other in referred} - headings == set()
    notes = set(re.findall(r"^\| (E\d+) \|", PAGE, re.MULTILINE))
    assert set(re.findall(r"\bE\d+\b", PAGE)) == notes == {f"E{n}" for n in range(1, 22)}


def test_the_constants_are_those_of_the_code() -> None:
    table = PAGE.partition("## 22.")[2].partition("## 23.")[0]
    rows = [
        tuple(cell.strip() for cell in line.split("|")[1:-1])
        for line in table.splitlines()
        if re.match(r"\| (square|hex)", line)
    ]
    expected = [
        (
            config.board,
            *map(
                str,
                (
                    len(config.shape.cells),
                    config.rings_per_seat,
                    config.seats,
                    config.rings_to_win,
                    config.territory_to_win,
                    config.line_length,
                    len(config.shape.cells) + config.seats * config.rings_per_seat,
                ),
            ),
        )
        for config in CONFIGS
    ]
    assert sorted(rows) == sorted(expected)
