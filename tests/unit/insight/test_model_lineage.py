"""Lineages of the networks of a small loop."""

from __future__ import annotations

import pytest
from support.turning_loop import TurningLoop

from ringrift.errors import CommandError
from ringrift.insight.models.model_lineage import Archive


@pytest.fixture
async def archive(loop: TurningLoop) -> Archive:
    return await Archive.open(loop.log)


def test_a_network_has_ancestors_children_and_pupils(archive: Archive) -> None:
    first, second, third = archive.history.models
    found = archive.of(second)
    assert (found.generation, found.ancestors) == (2, (first,))
    assert found.children == found.pupils == (third,)
    assert found.games["selfplay"] == 4
    assert {row.purpose for row in found.results} == {"promotion", "random", "heuristic"}


def test_only_the_newest_promoted_network_is_current(archive: Archive) -> None:
    lineages = [archive.of(model) for model in archive.history.models]
    assert [item.current for item in lineages] == [False, False, True]
    assert all((item.verdict or "").startswith("ModelPromoted") for item in lineages)


@pytest.mark.parametrize("field", ["games_by_node", "games_by_origin"])
def test_games_in_shards_are_counted_once(archive: Archive, field: str) -> None:
    for model in archive.history.models:
        found = archive.of(model)
        assert sum(getattr(found, field).values()) == 2 * len(found.shards)


def test_the_games_of_a_node_reach_networks_directly_and_through_weights(archive: Archive) -> None:
    first, second, third = archive.history.models
    rows = archive.exposed_to(node="n1")
    assert [row.model for row in rows] == [first, second, third]
    assert rows[0].games == 2
    assert rows[2].inherited == (second, first)


def test_the_games_of_a_network_reach_its_successors(archive: Archive) -> None:
    _, second, third = archive.history.models
    assert [row.model for row in archive.exposed_to(player=second) if row.games] == [third]


def test_a_node_without_games_is_refused(archive: Archive) -> None:
    with pytest.raises(CommandError, match="there are those of n1, n2"):
        archive.exposed_to(node="n9")


def test_a_network_is_named_by_its_first_digits(archive: Archive) -> None:
    first = next(iter(archive.history.models))
    assert archive.model(first[:6]) == first
    with pytest.raises(CommandError, match="no networks in the log start with 'abcdef'"):
        archive.model("abcdef")
