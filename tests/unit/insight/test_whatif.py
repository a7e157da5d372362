"""Another policy on recorded history: the same one changes nothing, another one exactly what it
should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringrift.deciders.loop import promotion, selfplay, training
from ringrift.deciders.loop import rating as elo
from ringrift.errors import CommandError
from ringrift.events.facts import (
    ModelPromoted,
    PromotionRejected,
    SelfplayPlanned,
    TrainingRequested,
)
from ringrift.events.settings_sources import load
from ringrift.insight.whatif.trial import WhatIf, policy_named, whatif
from ringrift.insight.whatif.whatif_report import decisions_over_time
from ringrift.log import read
from ringrift.runtime.processes import deciders

FILE = """
from ringrift.deciders.loop import selfplay

def decide(state, fact, context):
    return selfplay.DECIDER.decide(state, fact, context)[:0]

DECIDER = selfplay.DECIDER.but(decide)
"""


async def tried(
    world: Any, decider: Any, since: int = 0, until: int = 10_000, **changes: str
) -> WhatIf:
    given = {name.replace("__", "."): value for name, value in changes.items()}
    return await whatif(
        world.log, decider, lambda settings: load(given, base=settings), since=since, until=until
    )


@pytest.mark.parametrize("name", ["selfplay", "training", "evaluation", "promotion", "elo"])
async def test_the_same_policy_decides_the_same(world: Any, name: str) -> None:
    decider = deciders()[name]
    for since in (0, 20, 40):
        found = await tried(world, decider, since)
        assert found.differences == []
        assert found.same == len(found.recorded) == len(found.tried)
        assert found.affected == 0


async def test_more_games(world: Any) -> None:
    found = await tried(world, selfplay.DECIDER, selfplay__games="6")
    assert [(item.kind, item.fields) for item in found.differences] == [
        ("changed", (("games", 4, 6),))
    ] * 2
    before, after = found.totals["hex8_2p"]
    assert (before.games, after.games) == (12, 16)
    assert after.worker_seconds == pytest.approx(before.worker_seconds * 16 / 12)
    assert 0 < found.affected <= found.read


async def test_a_harder_gate_rejects(world: Any) -> None:
    found = await tried(
        world,
        promotion.DECIDER,
        promotion__elo0="300",
        promotion__elo1="400",
        promotion__score_at_cap="0.99",
    )
    verdicts = [type(item.fact) for item in found.tried]
    assert PromotionRejected in verdicts
    assert any(
        ("verdict", "ModelPromoted", "PromotionRejected") in item.fields
        for item in found.differences
    )
    before, after = found.totals["hex8_2p"]
    assert (before.promoted, before.rejected) == (3, 0)
    assert after.promoted + after.rejected <= 3


async def test_words_alone_are_no_difference(world: Any) -> None:
    found = await tried(world, training.DECIDER, training__min_samples="39")
    assert found.differences == []


async def test_a_higher_threshold_drops_or_moves_trainings(world: Any) -> None:
    found = await tried(world, training.DECIDER, training__min_samples="1000000")
    assert found.tried == []
    assert [item.kind for item in found.differences] == ["dropped"] * len(found.recorded)
    requests = [item.meta.position async for item in read.facts(world.log, TrainingRequested)]
    assert [item.recorded.position for item in found.differences] == requests


async def test_before_since_all_is_as_it_was(world: Any) -> None:
    promoted = [item async for item in read.facts(world.log, ModelPromoted)]
    found = await tried(world, selfplay.DECIDER, promoted[0].meta.seq + 2, selfplay__games="6")
    assert len(found.differences) == 1
    assert found.differences[0].seq == promoted[1].meta.seq
    early = await tried(world, selfplay.DECIDER, 0, promoted[0].meta.seq - 1, selfplay__games="6")
    assert early.differences == []


async def test_a_policy_from_a_file(world: Any, tmp_path: Path) -> None:
    path = tmp_path / "lazy.py"
    path.write_text(FILE)
    found = await tried(world, policy_named(str(path)))
    plans = [item async for item in read.facts(world.log, SelfplayPlanned)]
    assert [item.kind for item in found.differences] == ["dropped"] * len(plans)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("nothing", None, "no decider is called"),
        ("missing.py", None, "there is no policy file"),
        ("broken.py", "1/0", "ZeroDivisionError"),
        ("empty.py", "x = 1", "has no DECIDER"),
    ],
)
def test_a_policy_that_is_none(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(CommandError, match=said):
        policy_named(str(path) if name.endswith(".py") else name)


async def test_a_decider_without_settings_is_not_changed_by_them(world: Any) -> None:
    assert (await tried(world, elo.DECIDER, promotion__elo0="100")).differences == []


async def test_the_picture(world: Any, tmp_path: Path) -> None:
    found = await tried(world, selfplay.DECIDER, selfplay__games="6")
    for number, item in enumerate((found, await tried(world, selfplay.DECIDER), replaced(found))):
        decisions_over_time(item, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def replaced(found: WhatIf) -> WhatIf:
    return WhatIf(**{**vars(found), "recorded": [], "tried": [], "differences": []})
