import json
from pathlib import Path

import pytest

from ringrift.tools.rating import rating_fit_main, rating_sprt_main

DATA = Path(__file__).parents[2] / "data" / "rating"


def test_fit_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert rating_fit_main(DATA / "rating_games_A.csv", as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == "bradley-terry"
    assert document["players"][0].keys() == {"name", "elo", "se", "games"}
    assert document["players"][0]["name"] == "9"
    assert document["players"][0]["elo"] == pytest.approx(312.5276, abs=0.05)
    assert sum(player["elo"] for player in document["players"]) == pytest.approx(0, abs=1e-9)


def test_fit_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert rating_fit_main(DATA / "rating_games_A.csv", as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bradley-terry, mean of all players 0"
    assert lines[2].split() == ["9", "+312.5", "14.6", "1009"]


def test_a_sweep_says_that_it_took_a_prior(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sweep.csv"
    path.write_text("first_player,second_player,winner\n" + "a,b,a\n" * 10)
    assert rating_fit_main(path, as_json=True) == 0
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
    assert rating_fit_main(path, as_json=True) == 2
    assert rating_fit_main(tmp_path / "missing.csv", as_json=True) == 2
    assert rating_sprt_main("1,2,x", 0, 35, 0.05, 0.05, "logistic", as_json=True) == 2
    assert rating_sprt_main("1,2,3,4", 0, 35, 0.05, 0.05, "logistic", as_json=True) == 2
    assert rating_sprt_main("1,2,3", 0, 35, 0.05, 0.05, "bayes", as_json=True) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 5
    assert "line 2" in err


@pytest.mark.parametrize("results", ["5,30,80,60,25", "5 30 80 60 25", "[5, 30, 80, 60, 25]"])
def test_sprt_as_json(results: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert rating_sprt_main(results, 0, 35, 0.05, 0.05, "logistic", as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {"llr", "lower", "upper", "state", "elo", "elo_95_half_width", "los"}
    assert document["llr"] == pytest.approx(10.011721150191972)
    assert document["state"] == "accepted"


def test_sprt_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert rating_sprt_main("5,30,80,60,25", 0, 35, 0.05, 0.05, "logistic", as_json=False) == 0
    assert "accepted" in capsys.readouterr().out
