"""`ringrift rating fit` and `ringrift rating sprt`."""

import json
from pathlib import Path

import pytest

from ringrift.cli.main import main

DATA = Path(__file__).parents[2] / "data" / "rating"


def fit(file: Path, *options: str) -> int:
    """The exit status of the command."""
    return main(["rating", "fit", str(file), *options])


def sprt(results: str, *options: str) -> int:
    """The exit status of the command, testing for 35 Elo against 0."""
    return main(["rating", "sprt", "--results", results, "--elo1", "35", *options])


def test_fit_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(DATA / "rating_games_A.csv", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == "bradley-terry"
    assert document["players"][0].keys() == {*("name", "elo", "se", "elo_95_half_width", "games")}
    assert document["players"][0]["name"] == "9"
    assert document["players"][0]["elo"] == pytest.approx(312.5276, abs=0.05)
    assert sum(player["elo"] for player in document["players"]) == pytest.approx(0, abs=1e-9)


def test_fit_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(DATA / "rating_games_A.csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bradley-terry; Elo, mean of all players = 0, ± 95 %"
    assert lines[2].split() == ["9", "+312.5", "28.5", "1009"]


def test_a_sweep_reports_that_it_took_a_prior(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sweep.csv"
    path.write_text("first_player,second_player,winner\n" + "a,b,a\n" * 10)
    assert fit(path, "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["prior_elo"] == 400
    assert document["players"][0]["elo"] * 2 == pytest.approx(591.6309, abs=1e-4)
    assert "no finite rating" in err


def test_bad_input_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("first_player,second_player,winner\na,b,c\n")
    assert fit(path, "--json") == 2
    assert fit(tmp_path / "missing.csv", "--json") == 2
    assert sprt("1,2,x", "--json") == 2
    assert sprt("1,2,3,4", "--json") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 4
    assert "line 2" in err


@pytest.mark.parametrize("results", ["5,30,80,60,25", "5 30 80 60 25", "[5, 30, 80, 60, 25]"])
def test_sprt_as_json(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sprt(results, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {"llr", "lower", "upper", "state", "elo", "elo_95_half_width", "los"}
    assert document["llr"] == pytest.approx(10.011721150191972)
    assert document["state"] == "accepted"


def test_a_strength_may_be_negative(capsys: pytest.CaptureFixture[str]) -> None:
    assert sprt("5,30,80,60,25", "--elo0", "-5", "--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "accepted"


def test_sprt_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert sprt("5,30,80,60,25") == 0
    assert "accepted" in capsys.readouterr().out
