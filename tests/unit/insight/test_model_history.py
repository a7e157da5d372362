"""The history of the networks of a small loop."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from support.loop_facts import A, B, C, exported, promoted, registered, requested
from support.ratings import table
from support.turning_loop import TurningLoop

from ringrift.events import EventMeta, Fact, Recorded, type_of
from ringrift.events.facts import ConfigWindow, ModelAdopted
from ringrift.insight.models.architecture_records import records
from ringrift.insight.models.model_card import Ancestor
from ringrift.insight.models.model_history import ModelHistory
from ringrift.insight.why.references import HistoryIndex


@pytest.fixture
async def history(loop: TurningLoop) -> ModelHistory:
    return await ModelHistory.read(loop.log)


def test_a_network_has_its_training_games_scores_and_rating(history: ModelHistory) -> None:
    model = list(history.made)[1]
    training, games = history.training(model), history.games(model)
    assert training is not None
    assert games is not None
    assert (training.request.generation, training.finished.loss) == (2, 1.5)
    assert games.games == 2 * games.shards == 2 * len(training.request.shards)
    assert history.scores[model].keys() == {"promotion", "random", "heuristic"}
    assert len(history.ratings(model, "hex8_2p")) == 1
    assert history.ratings(model, "square8_2p") == ()


def test_a_network_has_ancestors_and_children(history: ModelHistory) -> None:
    first, second, third = history.made
    assert history.ancestors(history.parents(third)) == (second, first)
    assert history.children(first) == (second,)


def test_an_ancestor_that_is_not_in_the_log_has_only_its_digest(history: ModelHistory) -> None:
    (digest,) = history.ancestors(["ab" * 32])
    ancestor = Ancestor.of(digest, history)
    assert (ancestor.model, ancestor.config) == ("ab" * 32, None)


def test_the_state_is_that_of_the_newest_verdict(history: ModelHistory) -> None:
    states = [history.state(made) for made, _ in history.made.values()]
    assert states == ["promoted", "promoted", "current"]


def test_networks_are_listed_by_config(history: ModelHistory) -> None:
    assert [row["generation"] for row in history.documents("hex8_2p")] == [1, 2, 3]
    assert history.documents("square8_2p") == []
    assert history.table("square8_2p") == "no networks for square8_2p in the log"


async def test_without_a_log_nothing_is_known() -> None:
    assert (await ModelHistory.read(None)).made == {}


def test_an_architecture_has_the_strength_games_and_hours_of_its_networks(
    history: ModelHistory,
) -> None:
    (found,) = records(history, "hex8_2p")
    elos = [row.elo for model in history.made for row in history.ratings(model, "hex8_2p")]
    assert (found.architecture, found.networks, found.share) == ("v2-micro", 3, None)
    assert found.elo_best == max(elos)
    assert found.elo_mean == pytest.approx(sum(elos) / len(elos))
    assert found.games > 0
    assert found.hours > 0.0
    assert records(history, "square8_2p") == []


def history_of(*events: Fact) -> ModelHistory:
    """Return the history of these events; each has the one before as its cause."""
    index = HistoryIndex()
    for seq, fact in enumerate(events, 1):
        subject, at = type_of(fact).subject(fact), datetime(2026, 1, 1, tzinfo=UTC)
        meta = EventMeta("EVENTS", seq, subject, f"e{seq}", "test", at, f"EVENTS/{seq - 1}")
        index.at[meta.position] = Recorded(fact, meta)
        if seq <= 2:
            index.shards[getattr(fact, "digest", "")] = Recorded(fact, meta)
    return ModelHistory(index)


def test_a_network_of_two_configs_has_a_state_and_ratings_in_each() -> None:
    square = {"config": "square8_2p"}
    window = ConfigWindow(**square, generation=1, shards=(C,), samples=20)
    both = replace(requested(), shards=(A,), others=(window,))
    adopted = ModelAdopted(
        **square,
        model=B,
        origin="hex8_2p",
        generation=1,
        architecture="v2-micro",
        encoder="e",
        parameters=1,
        parents=(),
        why="trained together",
        settings_version=1,
    )
    name = f"{B[:12]}:gumbel:s32"
    history = history_of(
        replace(exported(games=2), digest=A),
        replace(exported(games=3), digest=C, **square),
        both,
        registered(B),
        adopted,
        promoted(B),
        table({name: 50.0}),
        table({name: 80.0}, config="square8_2p"),
    )
    assert history.state(registered(B)) == "current"
    assert history.elsewhere(B) == {"square8_2p": "adopted"}
    elos = {c: [row.elo for row in history.ratings(B, c)] for c in ("hex8_2p", "square8_2p")}
    assert elos == {"hex8_2p": [50.0], "square8_2p": [80.0]}
    games = history.games(B)
    assert games is not None
    assert games.games == 5  # of both configs
