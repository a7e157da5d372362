"""The table of generations as a fold of a small loop."""

from __future__ import annotations

import pytest
from support.turning_loop import TurningLoop

from ringrift.events.facts import EvaluationScored, GamesRetracted, Rating
from ringrift.insight.generations import ConfigView, LoopView
from ringrift.insight.scores import Score


@pytest.fixture
async def view(loop: TurningLoop) -> LoopView:
    return await LoopView.read(loop.log)


def test_every_generation_has_its_data_scores_and_verdict(view: LoopView) -> None:
    rows = view.of("hex8_2p").generations
    assert [rows[number].promoted for number in (1, 2, 3)] == [True, True, True]
    assert [rows[number].loss for number in (1, 2, 3)] == [3.0, 1.5, 1.0]
    assert rows[1].scores.keys() == {"random", "heuristic"}
    assert rows[3].scores["random"].share == 1.0
    assert view.finished()


def test_a_loop_is_finished_only_with_all_wanted_generations(view: LoopView) -> None:
    view.generations_wanted = 4
    assert not view.finished()
    assert view.of("hex8_2p").judged == 3


def test_a_match_that_failed_as_often_as_it_is_tried_keeps_no_loop_from_its_end() -> None:
    view = ConfigView(config="hex8_2p")
    row = view.generation(1)
    row.promoted, row.scores, row.failures = True, {"random": Score()}, {"heuristic": 2}
    assert not view.complete(1)
    row.failures["heuristic"] += 1
    assert view.complete(1)


async def test_retracted_results_are_subtracted(loop: TurningLoop, view: LoopView) -> None:
    scored = (await loop.all(EvaluationScored))[0].event
    before = view.of("hex8_2p").generations[scored.generation].scores[scored.purpose].games
    retraction = GamesRetracted(
        config="hex8_2p",
        first_seq=1,
        last_seq=2,
        count=2,
        scored_tickets=(scored.ticket,),
        why="bad disk",
    )
    position = await loop.put(retraction)
    (recorded,) = [item for item in await loop.all() if item.meta.position == position]
    view.take(recorded)
    scores = view.of("hex8_2p").generations[scored.generation].scores
    left = scores[scored.purpose].games if scored.purpose in scores else 0
    assert (before - left, view.of("hex8_2p").retracted) == (scored.games, 2)


def test_the_rating_of_a_network_is_that_of_its_player_in_the_loop() -> None:
    model = "ab" * 32
    strong = Rating(participant="abababababab:gumbel:s128", elo=90.0, se=1.0, games=8)
    usual = Rating(participant="abababababab:gumbel:s32", elo=10.0, se=1.0, games=8)
    view = ConfigView(config="hex8_2p", ratings=(strong, usual), names={model: usual.participant})
    assert view.rating_of(model) == usual
    assert view.rating_of("cd" * 32) is None
