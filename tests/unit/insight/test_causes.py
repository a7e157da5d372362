"""Causal trees and lineages of a small loop."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from ringrift.events import Fact, Recorded
from ringrift.events.facts import (
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    PromotionRejected,
    RatingsUpdated,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TrainingRequested,
)
from ringrift.insight.lineage import Archive
from ringrift.insight.why.causes import CauseNode, find, node_text, why
from ringrift.insight.why.causes_svg import causes_svg
from ringrift.log import read


async def all_of(world: Any, *kinds: type[Fact]) -> list[Recorded]:
    return [item async for item in read.facts(world.log, *kinds)]


def kinds(top: CauseNode) -> set[type]:
    return {type(node.recorded.event) for _, node in top.walk() if node.recorded}


async def test_the_world_turns(world: Any) -> None:
    verdicts = await all_of(world, ModelPromoted, PromotionRejected)
    assert [item.event.generation for item in verdicts] == [1, 2, 3]


async def test_a_promotion_rests_on_its_scores_its_network_and_the_games(world: Any) -> None:
    promoted = (await all_of(world, ModelPromoted))[-1]
    top = await why(world.log, promoted)
    assert kinds(top) >= {
        EvaluationScored,
        ModelRegistered,
        TrainingRequested,
        ShardExported,
        SelfplayPlanned,
        SettingsChanged,
    }
    assert top.children[0].role == "cause"
    evidence = {node.position for node in top.children if node.role in ("cause", "evidence")}
    scored = await all_of(world, EvaluationScored)
    model = promoted.event.model
    assert evidence == {
        item.meta.position
        for item in scored
        if item.event.candidate_model == model and item.meta.seq < promoted.meta.seq
    }


async def test_every_game_of_the_training_is_below_it(world: Any) -> None:
    request = (await all_of(world, TrainingRequested))[1]
    top = await why(world.log, request)
    shards = [child for child in top.children if isinstance(child.recorded.event, ShardExported)]
    assert len(shards) == len(request.event.shards)
    below = {node.position: node for _, node in top.walk() if node.state == "open"}
    for shard in shards:
        assert (
            sum(child.games.count for child in below[shard.position].children if child.games) == 2
        )
    groups = [
        node.games for _, node in top.walk() if node.games and node.games.origin == "selfplay"
    ]
    assert {group.request for group in groups} == {
        item.meta.position for item in (await all_of(world, SelfplayPlanned))[:2]
    }


async def test_each_event_is_opened_once_and_ends_at_the_settings(world: Any) -> None:
    top = await why(world.log, (await all_of(world, RatingsUpdated))[-1])
    opened = [node.position for _, node in top.walk() if node.state == "open"]
    assert len(opened) == len(set(opened))
    assert "EVENTS/1" in opened
    assert all(not node.children for _, node in top.walk() if node.state != "open")


async def test_causes_come_before_what_they_cause(world: Any) -> None:
    top = await why(world.log, (await all_of(world, ModelPromoted))[-1])
    for _, node in top.walk():
        for child in node.children:
            if (
                node.recorded
                and child.recorded
                and node.recorded.meta.stream == child.recorded.meta.stream
            ):
                assert child.recorded.meta.seq < node.recorded.meta.seq


async def test_depth_cuts_the_tree(world: Any) -> None:
    top = await why(world.log, (await all_of(world, ModelPromoted))[-1], depth=2)
    assert max(level for level, _ in top.walk()) == 2
    assert any(node.state == "deeper" for _, node in top.walk())


async def test_a_game_has_its_plan(world: Any) -> None:
    root = await find(world.log, "GAMES/1")
    assert root is not None
    assert type((await why(world.log, root)).children[0].recorded.event) is SelfplayPlanned


async def test_events_are_found_by_sequence_id_and_digest(world: Any) -> None:
    promoted = (await all_of(world, ModelPromoted))[0]
    for name in (str(promoted.meta.seq), promoted.meta.position, promoted.meta.id):
        assert await find(world.log, name) == promoted
    assert type((await find(world.log, promoted.event.model[:8])).event) is ModelRegistered
    assert (await find(world.log, "GAMES/2")).meta.stream == "GAMES"
    assert await find(world.log, "nothing") is None
    assert await find(world.log, "99999") is None


async def test_the_picture_has_a_line_for_every_node(world: Any) -> None:
    top = await why(world.log, (await all_of(world, ModelPromoted))[-1])
    picture = ElementTree.fromstring(causes_svg(top))
    texts = [item.text for item in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [node_text(node) for _, node in top.walk()]


async def test_lineage_goes_both_ways(world: Any) -> None:
    archive = await Archive.open(world.log)
    first, second, third = archive.history.models
    found = archive.of(second)
    assert (found.ancestors, found.children, found.generation) == ((first,), (third,), 2)
    assert found.pupils == (third,)
    assert sum(found.games_by_node.values()) == sum(shard.games for shard in found.shards)
    assert set(found.games_by_node) == {"n1", "n2"}
    assert found.games["selfplay"] == 4
    assert found.verdict is not None
    assert found.verdict.startswith("ModelPromoted")
    assert archive.of(third).current
    assert not found.current
    assert {row.purpose for row in found.results} == {"promotion", "random", "heuristic"}


async def test_who_saw_the_games_of_a_node(world: Any) -> None:
    archive = await Archive.open(world.log)
    first, second, third = archive.history.models
    rows = archive.exposed(lambda group: group.nodes.get("n1", 0))
    assert [row.model for row in rows] == [first, second, third]
    assert rows[0].games == 2
    assert rows[2].inherited == (second, first)
    assert archive.exposed(lambda group: group.nodes.get("n9", 0)) == []
    assert [
        row.model for row in archive.exposed(lambda group: group.models.get(second, 0)) if row.games
    ] == [third]


@pytest.mark.parametrize("field", ["games_by_node", "games_by_origin"])
async def test_games_in_shards_are_counted_once(world: Any, field: str) -> None:
    archive = await Archive.open(world.log)
    for model in archive.history.models:
        found = archive.of(model)
        assert sum(getattr(found, field).values()) == 2 * len(found.shards)
