"""The subjects of the benchmarks that need no server."""

from __future__ import annotations

import pytest
import torch

from ringrift.tools.bench import gpu, loop, rules, search, selfplay
from ringrift.tools.bench.harness import Benchmarks, Measured, Scope, measure


async def found(benchmarks: Benchmarks, runs: int = 1) -> dict[str, Measured]:
    return {item.name: item for item in await measure(benchmarks, runs)}


async def test_rules_are_measured_on_one_core_and_on_all() -> None:
    results = await found(rules.benchmarks(Scope(configs=("square8_2p",), seconds=0.01)))
    assert results["rules/square8_2p"].unit == "moves/s/core"
    assert results["rules/square8_2p/copy"].unit == "ns"
    assert all(item.value > 0 for item in results.values())


async def test_search_is_compared_with_the_search_that_evaluates_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "BATCHES", (1, 4))
    scope = Scope(configs=("square8_2p",), seconds=0.001)
    results = await found(search.benchmarks(scope), runs=2)
    network = "search/square8_2p/network/v2-micro/cpu"
    assert results["search/square8_2p/null"].unit == "simulations/s/core"
    assert results["search/square8_2p/null-network:null"].unit == "x"
    assert results[f"{network}/batch-4"].unit == "evaluations/s"
    assert f"{network}/batch-4:batch-1" in results
    assert all(item.value > 0 and len(item.runs) == 2 for item in results.values())


@pytest.mark.slow
async def test_the_shares_of_self_play_add_up_to_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfplay, "devices", lambda: ("cpu",))
    sizes = selfplay.Sizes(simulations=2, games_cpu=2, games_nnue=2)
    results = await found(selfplay.benchmarks(Scope(), sizes))
    for player in ("heuristic", "nnue_policy", "v2-micro"):
        prefix = f"selfplay/hex8_2p/{player}/cpu"
        assert results[f"{prefix}/games"].unit == "games/h"
        assert results[f"{prefix}/games-a-core"].unit == "games/h of CPU"
        shares = {part: results[f"{prefix}/share/{part}"].value for part in selfplay.PARTS}
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) > -0.02  # two clocks of different resolution
        assert (shares["network"] > 0.1) == (player == "v2-micro")
    assert results["selfplay/hex8_2p/v2-micro/cpu/games:heuristic"].value > 0


@pytest.mark.slow
async def test_the_loop_is_measured_from_self_play_to_training() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    results = await found(loop.benchmarks(Scope(configs=("square8_2p",), seconds=0.1)))
    assert results.keys() == {
        "loop/square8_2p/selfplay/heuristic/games",
        "loop/square8_2p/selfplay/heuristic/moves",
        "loop/square8_2p/selfplay/v2-micro/games",
        "loop/square8_2p/selfplay/v2-micro/moves",
        "loop/square8_2p/encoder",
        f"loop/square8_2p/network/v2-micro/{device}",
        f"loop/square8_2p/training/v2-micro/{device}",
    }
    assert all(item.value > 0 for item in results.values())


@pytest.mark.slow
async def test_a_gpu_is_measured_in_small_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "devices", lambda: ("cpu",))
    monkeypatch.setattr(loop, "GAMES_MIN", 2)
    sizes = gpu.Sizes(batches=(1, 4), games=2, simulations=2)
    results = await found(gpu.benchmarks(Scope(seconds=0.001), sizes))
    prefix = "gpu/square8_2p/cpu"
    assert results[f"{prefix}/bfloat16/batch-4"].unit == "evaluations/s"
    assert results[f"{prefix}/float32/difference"].value == 0.0
    assert 0.0 < results[f"{prefix}/bfloat16/difference"].value < 0.1
    assert results[f"{prefix}/selfplay/games"].value > 0
    assert 0.0 < results[f"{prefix}/selfplay/share/network"].value < 1.0
    assert results[f"{prefix}/training"].unit == "samples/s"
    assert results[f"{prefix}/memory"].unit == "GiB"
