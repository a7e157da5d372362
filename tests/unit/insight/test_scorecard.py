"""The scorecard counts what the log says."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.turning_loop import TurningLoop

from ringrift.events import Fact, Recorded, draft, facts as f
from ringrift.insight.scorecard import Card, Measure, promised, scorecard
from ringrift.log.presence import Heartbeat

START = datetime.fromisoformat("2026-11-30T12:00:00+00:00")


def folded(*story: tuple[float, Fact, str | None]) -> Card:
    """A card after facts at seconds after the start, with their causes; the first is EVENTS/1."""
    card = Card()
    for seq, (seconds, fact, cause) in enumerate(story, start=1):
        time = START + timedelta(seconds=seconds)
        item = draft(fact, cause=cause, source="t", key=str(seq), time=time)
        card.take(Recorded(fact, item.stored("EVENTS", seq)))
    return card


def beat(instance: str, lag: int | None = None) -> Heartbeat:
    given = {"doing": "", "seq": 0, "errors": 0, "folds": {}, "lag": lag, "pid": 1, "node": "n"}
    return Heartbeat(consumer="selfplay", instance=instance, **given)


def values(found: list[Measure]) -> dict[str, float | None]:
    return {one.measure: one.value for one in found}


PLAYED = f.SelfplayFinished(
    config="hex8_2p", generation=1, ticket="t", games=8, plies=0, play_seconds=30.0, node="n"
)


def test_use_is_that_of_the_cores_of_each_node() -> None:
    half = f.NodeUse(cores=2, busy={"selfplay": 60.0}, waited={"a-ticket": 60.0})
    full = f.NodeUse(cores=6, busy={"training": 360.0}, waited={})
    sample = f.UtilisationSampled(seconds=60.0, nodes={"a": half, "b": full})
    found = values(list(folded((0.0, sample, None)).measures([], 1)))
    assert (found["cores of a"], found["cores of b"]) == (0.5, 1.0)
    assert found["cores of all"] == pytest.approx(420 / 480)


def test_lag_and_failures_are_counted() -> None:
    reason = f.EvaluationFailed(
        config="hex8_2p",
        generation=1,
        ticket="t",
        candidate_model="a" * 64,
        node="n",
        purpose="random",
        reason="gone",
    )
    card = folded((0.0, PLAYED, None), (1.0, reason, None), (1.5, reason, None))
    found = values(list(card.measures([beat("i", lag=7), beat("j")], 3)))
    assert found["farthest behind now"] == 7
    assert found["tickets that failed"] == pytest.approx(2 / 3)
    assert found["dead letters resolved"] is None


def presence(node: str, present: bool, silent: float = 0.0, left: bool = False):
    return f.NodePresenceChanged(
        node=node, present=present, left=left, silent_seconds=silent, processes=int(present)
    )


def test_the_time_to_repair_is_from_the_last_sign_until_a_node_is_back_or_replaced() -> None:
    gone = f.NodeReturned(node="b", instance="i", asked=True)
    card = folded(
        (100.0, presence("a", False, silent=10.0), None),
        (150.0, presence("b", False, silent=10.0), None),
        (160.0, presence("c", False, left=True), None),
        (190.0, presence("a", True), None),
        (340.0, gone, None),
        (400.0, presence("d", False, silent=10.0), None),
        (500.0, presence("c", True), None),
    )
    found = {one.measure: one for one in card.measures([], 1)}
    assert found["mean time to repair a node"].value == pytest.approx((100.0 + 200.0) / 2)
    assert found["mean time to repair a node"].source == "2 nodes that were missed, 1 still are"


def test_only_what_a_person_did_is_a_manual_intervention() -> None:
    card, fact = Card(), f.BreakerReset(target="node-a", why="a probe succeeded")
    for seq, source in enumerate(("ringrift@desk", "monitor@n1", "ringrift@desk"), start=1):
        item = draft(fact, cause=None, source=source, key=str(seq), time=START)
        card.take(Recorded(fact, item.stored("EVENTS", seq)))
    assert values(list(card.measures([], 1)))["manual interventions"] == 2


def test_rented_nodes_cost_until_they_are_returned() -> None:
    def rented(node: str) -> f.NodeRented:
        return f.NodeRented(node=node, offer="x", instance=node, cost_per_hour=0.5)

    card = folded(
        (0.0, rented("a"), None),
        (1800.0, rented("b"), None),
        (3600.0, f.NodeReturned(node="a", instance="a", asked=True), None),
        (5400.0, f.NodeRentFailed(node="c", offer="x", reason="r"), None),
    )
    found = values(list(card.measures([], 1)))
    assert found["cost of rented nodes"] == pytest.approx(0.5 + 0.5)
    assert found["rents that failed"] == pytest.approx(1 / 3)
    assert values(list(folded().measures([], 1)))["cost of rented nodes"] is None


async def test_a_real_loop_has_a_card(loop: TurningLoop) -> None:
    found = values(await scorecard(loop.log, last=timedelta(days=1), promises=None))
    waited = found["from a cause to its decision, median"]
    assert waited is not None
    assert 0 <= waited < 60
    assert found["types of events that occurred"] > 0.05


def test_promises_without_a_test_and_tests_that_are_missing_lower_the_score(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "promises.md"
    page.parent.mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "there.py").touch()
    page.write_text(
        "| promise | under | held by |\n|---|---|---|\n"
        "| a | b | `tests/there.py` |\n| c | d | hope |\n\n| number |\n|---|\n| 1 |\n"
        "\n| promise | by | held by |\n|---|---|---|\n| e | f | `tests/gone.py`, `test_x.py` |\n"
    )
    assert values(list(promised(page))) == {
        "promises that name a test": pytest.approx(2 / 3),
        "named tests that exist": 0.5,
    }


def test_every_promise_of_ours_names_a_test_that_exists() -> None:
    found = values(list(promised(Path(__file__).parents[3] / "docs" / "promises.md")))
    assert found == {"promises that name a test": 1.0, "named tests that exist": 1.0}
