"""The commands that explain history, and SQL, on a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ringrift.cli.main import main


def test_why(run: Any, system: Any, tmp_path: Path) -> None:
    picture = tmp_path / "why.svg"
    shown = run("why", str(system.seqs["rated1"]), "--svg", str(picture))
    first, second, *_ = shown.splitlines()
    assert first.startswith(f"EVENTS/{system.seqs['rated1']} RatingsUpdated hex8_2p")
    assert f"─ EVENTS/{system.seqs['scored1']} EvaluationScored" in second
    assert ElementTree.fromstring(picture.read_text()).tag.endswith("svg")
    nodes = run.json("why", "GAMES/1")["nodes"]
    assert [node["type"] for node in nodes][:2] == ["GameCompleted", "SelfplayPlanned"]
    run("why", "nothing", status=1)
    assert "there is no event 'nothing'" in run.err


def test_lineage_refuses_unknown_names(run: Any) -> None:
    run("lineage", "abcdef", status=1)
    assert "no networks in the log start with 'abcdef'" in run.err
    run("lineage", status=1)
    assert "give a network, or --node NODE" in run.err
    run("lineage", "--node", "moon", status=1)
    assert "no game of node 'moon'" in run.err
    assert run.json("lineage", "--games-of", "heuristic") == {"models": []}


def test_at_and_diff_show_the_past(run: Any, system: Any) -> None:
    before, after = system.seqs["scored0"], system.seqs["scored1"]
    assert run.json("at", str(after), "ratings")["ratings"]["hex8_2p"]
    assert run.json("at", "0d")["seq"] == system.seqs["garbage"]
    assert "generations" in run("at", str(after))
    for words in (("at", "999999"), ("diff", "1", "999999")):
        run(*words, status=1)
        assert (
            f"EVENTS/999999 is not written yet: the log ends with EVENTS/{system.seqs['garbage']}"
            in run.err
        )
    changes = run.json("diff", str(before), str(after), "elo")["changes"]
    games = next(item for item in changes if item["path"] == "configs.hex8_2p.games")
    assert (games["before"], games["after"]) == (8, 16)
    assert [cause["position"] for cause in games["causes"]] == [f"EVENTS/{after}"]
    assert "configs.hex8_2p.games: 8 → 16" in run("diff", str(before), str(after))
    run("diff", str(after), str(before), status=1)
    assert "swap them" in run.err
    run("at", "1", "nonsense", status=1)
    assert "no projection is called 'nonsense'; there are ratings" in run.err


def test_verify_reports_a_wrong_fold(run: Any) -> None:
    shown = run("verify", status=1)
    assert "fail fold      elo" in shown
    known = run.json("verify", status=1)
    assert known["sound"] is False
    assert known["checked"]["fold"] == 1


def test_query_and_sql_print_rows(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(
        run("query", "SELECT sum(games)::INT AS games FROM evaluation_scored", "--json")
    ) == {"games": 16}
    assert "baseline:random:0" in run("query", "FROM leaderboard")
    run("query", "SELECT nonsense", status=1)
    assert "nonsense" in run.err
    lines = iter(["SELECT 1 +", "1 AS two;", "SELECT nonsense;", "\\q"])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    assert "2" in run("sql")
    assert "nonsense" in run.err


def test_plot(run: Any, tmp_path: Path) -> None:
    run("plot", "throughput", "--config", "hex8_2p", "--output", str(tmp_path / "x.png"))
    assert (tmp_path / "x.png").stat().st_size > 1000
    run("plot", "loss", "--config", "hex8_2p", "--output", str(tmp_path / "y.png"), status=1)
    assert "the log has no loss curves" in run.err


def test_whatif(run: Any, tmp_path: Path) -> None:
    shown = run(
        "whatif", "selfplay", "--set", "selfplay.games=7", "--plot", str(tmp_path / "w.png")
    )
    assert "What history cannot show" in shown
    assert (tmp_path / "w.png").exists()
    assert run.json("whatif", "elo")["differences"] == []
    run("whatif", "selfplay", "--set", "selfplay.nonsense=7", status=1)
    assert "unknown setting" in run.err
    run("whatif", "nonsense", status=1)
    assert "no decider is called 'nonsense'" in run.err


def test_proofs_of_a_log_without_tree_heads_hold_and_are_vouched_for_by_nobody(
    run: Any, system: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, keys = tmp_path / "proof.json", tmp_path / "keys.json"
    keys.write_text(json.dumps(run.json("node", "list")))
    seq = system.seqs["scored1"]
    written = run.json("proof", "inclusion", f"EVENTS/{seq}", str(found), "--size", f"{seq + 1}")
    assert written["size"] == seq + 1
    assert main(["proof", "verify", str(found), "--keys", str(keys)]) == 1
    shown = capsys.readouterr().out
    assert f"EVENTS/{seq}, ringrift.EvaluationScored" in shown
    assert f"{written['root']}, signed by no key that you trust" in shown
    run("proof", "consistency", "3", str(found), "--size", str(seq))
    assert main(["proof", "verify", str(found), "--keys", str(keys)]) == 1
    shown = capsys.readouterr().out
    assert f"the first 3 of {seq} messages are the same" in shown
    run("proof", "inclusion", "EVENTS/1", str(found), status=1)
    assert "heads follow within a minute" in run.err
    run("proof", "inclusion", "GAMES/1", str(found), status=1)
    assert "'GAMES/1' is no position such as EVENTS/17" in run.err
