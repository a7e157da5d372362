"""Causal trees of a small loop."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from support.turning_loop import TurningLoop

from ringrift.events import Recorded, facts
from ringrift.insight.why.causes import (
    CauseNode,
    causes_svg,
    find,
    node_text,
    tree_document,
    tree_lines,
    why,
)
from ringrift.insight.why.references import GameGroup


@pytest.fixture
async def tree(loop: TurningLoop) -> CauseNode:
    """The causal tree of the newest promotion."""
    return await why(loop.log, (await loop.all(facts.ModelPromoted))[-1])


def test_a_promotion_rests_on_scores_network_shards_and_settings(tree: CauseNode) -> None:
    kinds = {type(node.what.event) for _, node in tree.walk() if isinstance(node.what, Recorded)}
    assert kinds >= {
        facts.EvaluationScored,
        facts.ModelRegistered,
        facts.TrainingRequested,
        facts.ShardExported,
        facts.SelfplayPlanned,
        facts.SettingsChanged,
    }
    assert tree.children[0].role == "cause"


async def test_the_evidence_of_a_promotion_is_every_earlier_score_of_its_network(
    loop: TurningLoop, tree: CauseNode
) -> None:
    evidence = {node.position for node in tree.children if node.role in ("cause", "evidence")}
    promoted = (await loop.all(facts.ModelPromoted))[-1]
    assert evidence == {
        item.meta.position
        for item in await loop.all(facts.EvaluationScored)
        if item.event.candidate_model == promoted.event.model and item.meta.seq < promoted.meta.seq
    }


async def test_a_training_rests_on_all_games_of_its_shards(loop: TurningLoop) -> None:
    request = (await loop.all(facts.TrainingRequested))[1]
    top = await why(loop.log, request)
    opened = {node.position: node for _, node in top.walk() if node.state == "open"}
    shards = [
        node
        for node in top.children
        if isinstance(node.what, Recorded) and isinstance(node.what.event, facts.ShardExported)
    ]
    assert len(shards) == len(request.event.shards)
    for shard in shards:
        groups = [node.what for node in opened[shard.position].children]
        assert sum(group.count for group in groups if isinstance(group, GameGroup)) == 2
    whats = [node.what for _, node in top.walk()]
    groups = [what for what in whats if isinstance(what, GameGroup)]
    plans = {group.request for group in groups if group.origin == "selfplay"}
    recorded = await loop.all(facts.SelfplayPlanned)
    assert plans == {plan.meta.position for plan in recorded[:2]}


async def test_each_event_is_opened_once(loop: TurningLoop) -> None:
    top = await why(loop.log, (await loop.all(facts.RatingsUpdated))[-1])
    opened = [node.position for _, node in top.walk() if node.state == "open"]
    assert len(opened) == len(set(opened))
    assert "EVENTS/1" in opened
    assert all(not node.children for _, node in top.walk() if node.state != "open")


def test_causes_come_before_their_effects(tree: CauseNode) -> None:
    for _, node in tree.walk():
        for child in node.children:
            if isinstance(node.what, Recorded) and isinstance(child.what, Recorded):
                effect, cause = node.what.meta, child.what.meta
                assert effect.stream != cause.stream or cause.seq < effect.seq


async def test_depth_limits_the_tree(loop: TurningLoop) -> None:
    top = await why(loop.log, (await loop.all(facts.ModelPromoted))[-1], depth=2)
    assert max(level for level, _ in top.walk()) == 2
    assert any(node.state == "deeper" for _, node in top.walk())


async def test_a_game_rests_on_its_plan(loop: TurningLoop) -> None:
    root = await find(loop.log, "GAMES/1")
    assert root is not None
    (plan, *_) = (await why(loop.log, root)).children
    assert isinstance(plan.what, Recorded)
    assert isinstance(plan.what.event, facts.SelfplayPlanned)


async def test_an_event_is_found_by_sequence_position_and_id(loop: TurningLoop) -> None:
    promoted = await loop.first(facts.ModelPromoted)
    for name in (str(promoted.meta.seq), promoted.meta.position, promoted.meta.id):
        assert await find(loop.log, name) == promoted


async def test_a_network_is_found_by_the_first_digits_of_its_digest(loop: TurningLoop) -> None:
    registered = await loop.first(facts.ModelRegistered)
    assert await find(loop.log, registered.event.model[:8]) == registered


@pytest.mark.parametrize("name", ["nothing", "99999", "GAMES/99999"])
async def test_an_unknown_name_finds_nothing(loop: TurningLoop, name: str) -> None:
    assert await find(loop.log, name) is None


def test_the_picture_has_a_line_for_every_node(tree: CauseNode) -> None:
    picture = ElementTree.fromstring(causes_svg(tree))
    texts = [item.text for item in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [node_text(node) for _, node in tree.walk()]


def test_text_and_document_have_the_same_order(tree: CauseNode) -> None:
    nodes = tree_document(tree)["nodes"]
    for line, node in zip(tree_lines(tree), nodes, strict=True):
        assert node["position"] in line
        assert all(nodes[child]["depth"] == node["depth"] + 1 for child in node["children"])
