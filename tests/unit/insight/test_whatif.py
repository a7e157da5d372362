"""Other policies on recorded history: the same policy changes nothing, another one only what it
should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.turning_loop import TurningLoop

from ringrift.deciders.kit import Decider
from ringrift.deciders.loop import promotion, rating as elo, selfplay, training
from ringrift.errors import CommandError
from ringrift.events.facts import (
    ModelPromoted,
    PromotionRejected,
    SelfplayPlanned,
    TrainingRequested,
)
from ringrift.events.settings_sources import load
from ringrift.insight.whatif.trial import WhatIf, policy_named, whatif
from ringrift.insight.whatif.whatif_report import decisions_over_time, whatif_lines
from ringrift.runtime.authorship import deciders

LAZY = """
from ringrift.deciders.loop import selfplay

def decide(state, fact, context):
    return selfplay.DECIDER.decide(state, fact, context)[:0]

DECIDER = selfplay.DECIDER.but(decide)
"""


async def tried(
    loop: TurningLoop, decider: Decider[Any], since: int = 0, until: int = 10_000, **changes: str
) -> WhatIf:
    """Try a decider with some settings, such as `selfplay__games="6"`."""
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return await whatif(
        loop.log, decider, lambda settings: load(given, base=settings), since=since, until=until
    )


@pytest.mark.parametrize("name", ["selfplay", "training", "evaluation", "promotion", "elo"])
async def test_the_same_policy_decides_the_same(loop: TurningLoop, name: str) -> None:
    for since in (0, 20, 40):
        found = await tried(loop, deciders()[name], since)
        assert found.differences == []
        assert found.same == len(found.recorded) == len(found.tried)
        assert found.affected == 0


async def test_more_games_change_the_plans_and_their_cost(loop: TurningLoop) -> None:
    found = await tried(loop, selfplay.DECIDER, selfplay__games="6")
    changes = [(item.kind, item.fields) for item in found.differences]
    more = ("games", 4, 6), ("tickets", (2, 2), (2, 2, 2))
    assert changes == [("changed", more)] * 2
    before, after = found.totals["hex8_2p"]
    assert (before.games, after.games) == (16, 20)  # 4 of them are played ahead
    assert before.worker_seconds is not None
    assert after.worker_seconds == pytest.approx(before.worker_seconds * 20 / 16)
    assert 0 < found.affected <= found.read


async def test_a_stricter_gate_rejects(loop: TurningLoop) -> None:
    strict = {"elo0": "300", "elo1": "400", "score_at_cap": "0.99"}
    changes = {f"promotion__{name}": value for name, value in strict.items()}
    found = await tried(loop, promotion.DECIDER, **changes)
    assert PromotionRejected in [type(item.fact) for item in found.tried]
    verdict = ("verdict", "ModelPromoted", "PromotionRejected")
    assert any(verdict in item.fields for item in found.differences)
    before, after = found.totals["hex8_2p"]
    assert (before.promoted, before.rejected) == (3, 0)
    assert after.promoted + after.rejected <= 3


async def test_another_wording_is_no_difference(loop: TurningLoop) -> None:
    found = await tried(loop, training.DECIDER, training__min_samples="39")
    assert found.differences == []


async def test_a_higher_threshold_drops_trainings(loop: TurningLoop) -> None:
    found = await tried(loop, training.DECIDER, training__min_samples="1000000")
    assert found.tried == []
    assert {item.kind for item in found.differences} == {"dropped"}
    dropped = [item.recorded.position for item in found.differences if item.recorded]
    assert dropped == [item.meta.position for item in await loop.all(TrainingRequested)]


async def test_decisions_before_since_and_after_until_are_not_tried(loop: TurningLoop) -> None:
    first, second, *_ = await loop.all(ModelPromoted)
    late = await tried(loop, selfplay.DECIDER, first.meta.seq + 2, selfplay__games="6")
    assert [item.seq for item in late.differences] == [second.meta.seq]
    early = await tried(loop, selfplay.DECIDER, 0, first.meta.seq - 1, selfplay__games="6")
    assert early.differences == []


async def test_settings_do_not_change_a_decider_that_reads_none(loop: TurningLoop) -> None:
    assert (await tried(loop, elo.DECIDER, promotion__elo0="20")).differences == []


async def test_a_policy_from_a_file_is_tried(loop: TurningLoop, tmp_path: Path) -> None:
    path = tmp_path / "lazy.py"
    path.write_text(LAZY)
    found = await tried(loop, policy_named(str(path)))
    plans = await loop.all(SelfplayPlanned)
    assert [item.kind for item in found.differences] == ["dropped"] * len(plans)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("nothing", None, "no decider is called"),
        ("missing.py", None, "there is no policy file"),
        ("broken.py", "1/0", "ZeroDivisionError"),
        ("empty.py", "x = 1", "has no DECIDER"),
    ],
)
def test_an_unusable_policy_is_refused(
    tmp_path: Path, name: str, text: str | None, reason: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(CommandError, match=reason):
        policy_named(str(path) if name.endswith(".py") else name)


async def test_text_reports_differences_totals_and_limits(loop: TurningLoop) -> None:
    lines = [str(line) for line in whatif_lines(await tried(loop, selfplay.DECIDER))]
    assert lines[-1] == "no decision would have changed"
    changed = await tried(loop, selfplay.DECIDER, selfplay__games="6")
    lines = [str(line) for line in whatif_lines(changed)]
    assert any("games: 4 → 6" in line for line in lines)
    assert "What history cannot show" in lines[-1]


async def test_the_picture_is_drawn_even_without_decisions(
    loop: TurningLoop, tmp_path: Path
) -> None:
    found = await tried(loop, selfplay.DECIDER, selfplay__games="6")
    for number, item in enumerate((found, replace(found, recorded=[], tried=[], differences=[]))):
        decisions_over_time(item, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")
