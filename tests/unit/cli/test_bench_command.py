from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from ringrift.cli.main import main
from ringrift.tools import bench, bench_play
from ringrift.tools.bench_loop import bench_loop
from ringrift.tools.measured import Measured, measured


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    taken = {
        "rules": lambda options: [
            measured("rules/square8_2p", "moves/s/core", [3.0, 1.0, 2_000_000.0])
        ],
        "log": lambda options: [measured("log/replay", "events/s", [5.0])],
    }
    monkeypatch.setattr(bench, "PARTS", taken)
    return taken


def test_json_has_medians_runs_and_the_machine(
    parts: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "rules", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["results"] == [
        {
            "name": "rules/square8_2p",
            "value": 3.0,
            "unit": "moves/s/core",
            "runs": [3.0, 1.0, 2_000_000.0],
        }
    ]
    assert document["machine"]["cores"] >= 1
    assert document["machine"]["numba"]


def test_the_table_has_all_parts(parts: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if "rules/square8_2p" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")][1:] == [
        "3",
        "1",
        "2,000,000",
        "moves/s/core",
    ]
    assert "log/replay" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sums"], "no part is called sums; there are rules, log"),
        (["rules", "--config", "chess_2p"], "unknown config 'chess_2p'"),
        (["rules", "--runs", "0"], "at least 1 run"),
    ],
)
def test_what_cannot_be_measured(
    parts: Any, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 1
    assert said in capsys.readouterr().err


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements that take no time and mean nothing."""
    monkeypatch.setattr("ringrift.tools.bench_search.RUN_SECONDS", 0.001)
    monkeypatch.setattr(bench_play, "NETWORK_RUN_SECONDS", 0.001)
    monkeypatch.setattr(bench_play, "BATCHES", (1, 4))
    monkeypatch.setattr(bench_play, "GAMES_CPU", 2)
    monkeypatch.setattr(bench_play, "SIMULATIONS", 2)


def test_rules_and_search_deliver_what_is_printed(short: None) -> None:
    options = type("Options", (), {"config": ["square8_2p"], "runs": 1, "seconds": 0.01})()
    names = [item.name for item in bench.PARTS["rules"](options)]
    assert names[0] == "rules/square8_2p"
    found = {item.name: item for item in bench.PARTS["search"](options)}
    assert all(isinstance(item, Measured) and item.value > 0 for item in found.values())
    assert found["search/square8_2p/null"].unit == "simulations/s/core"
    assert found["search/square8_2p/null-network:null"].unit == "x"
    assert found["search/square8_2p/network/v2-micro/cpu/batch-4"].unit == "evaluations/s"
    assert "search/square8_2p/network/v2-micro/cpu/batch-4:batch-1" in found


def test_ratios_compare_runs_of_the_same_number(short: None) -> None:
    options = type("Options", (), {"config": ["square8_2p"], "runs": 2, "seconds": 0.01})()
    found = {item.name: item.runs for item in bench.PARTS["search"](options)}
    null, heuristic = found["search/square8_2p/null"], found["search/square8_2p/heuristic"]
    assert found["search/square8_2p/heuristic:null"] == [
        one / base for one, base in zip(heuristic, null, strict=True)
    ]


@pytest.mark.slow
def test_the_shares_of_self_play_are_all_of_its_time(
    short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_play, "devices", lambda: ["cpu"])
    found = {item.name: item for item in bench_play.bench_selfplay(["hex8_2p"], runs=1)}
    for player in ("heuristic/cpu", "v2-micro/cpu"):
        assert found[f"selfplay/hex8_2p/{player}/games"].unit == "games/h"
        shares = {
            name.rpartition("/")[2]: item.value
            for name, item in found.items()
            if f"/{player}/share/" in name
        }
        assert shares.keys() == {
            "rules-and-search",
            "moves-and-facts",
            "encoding",
            "network",
            "waiting",
        }
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) > -0.02  # two clocks of different resolution
        assert (shares["network"] > 0.1) == (player == "v2-micro/cpu")
    assert found["selfplay/hex8_2p/v2-micro/cpu/games:heuristic"].value > 0


@pytest.mark.slow
def test_the_loop_is_measured() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = {item.name: item for item in bench_loop(["square8_2p"], runs=1, seconds=0.1)}
    assert found.keys() == {
        "loop/square8_2p/selfplay/heuristic/games",
        "loop/square8_2p/selfplay/heuristic/moves",
        "loop/square8_2p/selfplay/v2-micro/games",
        "loop/square8_2p/selfplay/v2-micro/moves",
        "loop/square8_2p/encoder",
        f"loop/square8_2p/network/v2-micro/{device}",
        f"loop/square8_2p/training/v2-micro/{device}",
    }
    assert all(item.value > 0 for item in found.values())
