"""The canary of an update: what counts as errors, how speed is compared, and the verdict."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.fleet_facts import finished

from ringrift.cluster.canary import Canary, Sample, judged, sample, speed
from ringrift.events import facts as f


def error(node: str) -> f.ErrorReported:
    return f.ErrorReported(node=node, consumer="selfplay", error="e", errors=1)


def loop(looping: bool) -> f.CrashLoopChanged:
    return f.CrashLoopChanged(node="n", consumer="selfplay", looping=looping, crashes=3)


def play(config: str, plies: int, seconds: float, node: str = "n") -> f.SelfplayFinished:
    return replace(finished(node, 1, seconds), config=config, plies=plies)


def test_only_failures_of_the_node_are_errors() -> None:
    found = sample(
        "n", [error("n"), error("other"), loop(True), loop(False), play("hex8_2p", 9, 3)]
    )
    assert found == Sample(errors=2, plies={"hex8_2p": 9}, seconds={"hex8_2p": 3.0})


def test_speed_is_compared_for_each_config_by_itself() -> None:
    before = sample("n", [play("hex8_2p", 100, 10.0), play("square19_2p", 100, 100.0)])
    same = sample("n", [play("square19_2p", 50, 50.0)])  # slower plies, the same speed
    assert speed(before, same) == pytest.approx(1.0)
    half = sample("n", [play("square19_2p", 25, 50.0), play("hex8_3p", 1, 1.0)])
    assert speed(before, half) == pytest.approx(0.5)
    assert speed(before, sample("n", [])) is None
    assert speed(sample("n", []), same) is None


@pytest.mark.parametrize(
    ("errors", "ratio", "why"),
    [
        (0, 1.0, ""),
        (2, 1.0, ""),
        (3, 1.0, "3 errors in 300 s, 2 before"),
        (0, 0.79, "self-play has 79% of the speed before"),
        (0, 0.81, ""),
        (0, None, ""),
    ],
)
def test_more_errors_or_less_speed_fail(errors: int, ratio: float | None, why: str) -> None:
    before = Sample(errors=0, plies={"hex8_2p": 1000}, seconds={"hex8_2p": 100.0})
    plies = {} if ratio is None else {"hex8_2p": round(1000 * ratio)}
    after = Sample(errors=errors, plies=plies, seconds=dict.fromkeys(plies, 100.0))
    verdict = judged(Canary(node="n", seq=1, errors=2, before=before), "2.0", 300.0, after)
    assert verdict.passed == (not why)
    assert why in verdict.why
