"""Every game of the sample files gets the verdict that was found for it independently."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ringrift.errors import CommandError
from ringrift.legacy.files import RatingsFound, files_of, games_of
from ringrift.legacy.importing import Importer, Summary
from ringrift.legacy.replay import Verdict, judge

SMALL = Path(__file__).parents[2] / "data" / "legacy"
ALL = Path(__file__).parents[4] / "shared" / "legacy"


def verdicts(path: Path) -> list[Verdict]:
    try:
        return [judge(game) for game, _ in games_of(path)]
    except (CommandError, RatingsFound):
        return []


def compared(expected: dict[str, Any], found: Verdict) -> dict[str, tuple[Any, Any]]:
    """What differs."""
    values = {
        "status": found.status,
        "class": found.kind,
        "plies": found.plies,
        "pie": found.pie,
        "at": found.at,
        "position": found.position,
        "instead": found.instead,
        "winner": found.end.get("winner"),
        "tokens": found.moves,
    }
    if expected["class"] == "duplicate_same":  # that takes the other games of the file
        expected = {"plies": expected["plies"], "tokens": expected["tokens"]}
    if found.status == "rejected":
        values |= {name: expected.get(name) for name in ("tokens", "winner")}
        values["position"] = expected.get("position") and found.position
    shown = values.keys() & expected.keys()
    return {
        name: (expected[name], values[name]) for name in shown if expected[name] != values[name]
    }


@pytest.mark.parametrize("root", [SMALL, ALL], ids=["small", "all"])
def test_each_game_is_judged_as_expected(root: Path) -> None:
    if not root.is_dir():
        pytest.skip("the whole set of samples is not at hand")
    for name, games in json.loads((root / "expected.json").read_text()).items():
        if name.startswith("_"):
            continue
        found = verdicts(root / name)
        if not found:  # a file that cannot be read at all
            assert {game["class"] for game in games} <= {"unreadable"}, name
            continue
        assert len(found) == len(games), name
        by_id = {(one.game.id, one.game.line): one for one in found}
        by_line = {one.game.line: one for one in found if one.game.line}
        for game in games:
            mine = by_id.get((game["game_id"], game.get("line"))) or by_line[game["line"]]
            assert compared(game, mine) == {}, (name, game["game_id"])


@pytest.mark.parametrize("root", [SMALL, ALL], ids=["small", "all"])
def test_an_import_counts_the_games_of_each_file_as_expected(root: Path, tmp_path: Path) -> None:
    if not root.is_dir():
        pytest.skip("the whole set of samples is not at hand")
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    before = {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in copy.rglob("*")}
    os.chmod(copy, 0o700)
    summary = Summary(source="sample", dry_run=True)
    importer = Importer(summary, frozenset(), set(), None)
    accepted = list(importer.accepted(files_of([copy]), None))
    found = {str(Path(one.file).relative_to(copy)): one for one in summary.files}
    for name, games in json.loads((root / "expected.json").read_text()).items():
        if not name.startswith("_") and found[name].problem is None:
            assert found[name].games == Counter(game["class"] for game in games), name
    assert sum(summary.stored.values()) == len(accepted) == len({one.moves for one in accepted})
    after = {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in copy.rglob("*")}
    assert after == before  # nothing is written beside the sources, nor to them


def test_a_file_that_is_no_file_of_games_is_named_with_what_to_import_instead() -> None:
    with pytest.raises(CommandError, match=r"databases \(\*\.db\) and records"):
        next(games_of(SMALL / "db" / "not_a_database.db"))
    with pytest.raises(CommandError, match="empty"):
        next(games_of(SMALL / "db" / "zero_bytes.db"))


def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CommandError, match="no regular file"):
        files_of([tmp_path / "pipe"])
