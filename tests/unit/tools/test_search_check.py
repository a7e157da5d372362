"""The search agrees with the reference, and the check reports differences."""

import json
from pathlib import Path

import pytest

from ringrift.cli.main import main
from ringrift.search.gumbel.selection import considered_visits
from ringrift.tools.search_check.check import check_file

DATA = Path(__file__).parents[2] / "data" / "search"
REFERENCE = Path(__file__).parents[4] / "shared" / "search"
FILES = {"gumbel_vectors.json": 143, "gumbel_maxn_vectors.json": 40, "gumbel_equal_q.json": 20}


def search(*paths: Path) -> int:
    """The exit status of the command."""
    return main(["search", "check", *map(str, paths)])


@pytest.mark.parametrize("name", FILES)
def test_reference_cases(name: str) -> None:
    cases = list(check_file(DATA / name))
    assert [str(mismatch) for case in cases for mismatch in case] == []
    assert len(cases) == FILES[name]


def test_command_counts_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert search(*(DATA / name for name in FILES)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "cases=203 failures=0"


@pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the reference folder is not beside the repository"
)
def test_all_reference_files_at_hand() -> None:
    assert search(*sorted(REFERENCE.glob("gumbel_*.json"))) == 0


def test_command_without_cases_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert search() == 1
    assert capsys.readouterr().out == "cases=0 failures=0\n"


def _altered(folder: Path, name: str, **changes: object) -> Path:
    """A copy of a reference file cut to its first case, with fields of that case replaced."""
    document = json.loads((DATA / name).read_text())
    case = document["cases"][0]
    for field, value in changes.items():
        target = case
        *path, last = field.split("__")
        for key in path:
            target = target[key]
        target[last] = value
    document["cases"] = [case]
    path_out = folder / name
    path_out.write_text(json.dumps(document))
    return path_out


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("expected__action", 1, "action"),
        ("expected__visit_counts", [0, 1], "visit_counts"),
        ("expected__action_weights", [0.5, 0.5], "action_weights"),
        ("expected__action_weights", [1.0], "action_weights"),
        ("expected__root_value", 0.9, "root_value"),
        ("expected__q_values", [None, 0.1], "q_values"),
        ("expected__considered_visit_sequence", [1], "considered_visit_sequence"),
    ],
)
def test_a_wrong_value_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, value: object, what: str
) -> None:
    path = _altered(tmp_path, "gumbel_vectors.json", **{field: value})
    assert search(path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"bandit-default-000: {what}"
    assert lines[1] == f"  expected {value}"
    assert lines[2].startswith("  found ")
    assert lines[-1] == "cases=1 failures=1"


@pytest.mark.parametrize(
    ("name", "field", "value", "reason"),
    [
        (
            "gumbel_vectors.json",
            "game__child",
            [[9, 0], [0, 0]],
            "child names a state outside 0..1",
        ),
        ("gumbel_vectors.json", "game__child", [[0, 0], [0]], "child is not a rectangular table"),
        ("gumbel_vectors.json", "game__logits", [[0, 0]], "logits has shape"),
        ("gumbel_vectors.json", "gumbel", [0.0], "gumbel has shape"),
        ("gumbel_vectors.json", "root_state", -1, "root_state -1"),
        ("gumbel_vectors.json", "num_simulations", 0, "at least 1"),
        ("gumbel_vectors.json", "num_simulations", 10**9, "at most"),
        ("gumbel_vectors.json", "max_depth", 0, "at least 1"),
        ("gumbel_vectors.json", "invalid", [1, 1], "all actions are invalid"),
        ("gumbel_vectors.json", "game", 3, "Expected `object`"),
        ("gumbel_maxn_vectors.json", "players", 9, "9 players"),
        ("gumbel_maxn_vectors.json", "game__mover", [7] * 8, "mover outside"),
    ],
)
def test_a_corrupt_case_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    field: str,
    value: object,
    reason: str,
) -> None:
    assert search(_altered(tmp_path, name, **{field: value})) == 2
    out, err = capsys.readouterr()
    assert out == "cases=0 failures=0\n"
    assert reason in err
    assert name in err


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b'{"format": "other", "cases": []}', b'{"cases": []}']
)
def test_a_corrupt_file_is_refused_and_the_others_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "corrupt.json"
    path.write_bytes(content)
    assert search(path, tmp_path / "missing.json", DATA / "gumbel_equal_q.json") == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "cases=20 failures=0"
    assert "corrupt.json" in err
    assert "missing.json" in err


def test_considered_visits_by_hand() -> None:
    """16 simulations, 4 moves: two rounds of 4, then the best 2 share the other half."""
    assert considered_visits(4, 16).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert considered_visits(1, 3).tolist() == [0, 1, 2]
    assert considered_visits(3, 2).tolist() == [0, 0]
