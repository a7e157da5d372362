"""Analysis of games: values by ply, losses, blunders."""

import pytest
from support.positions import record_of

from ringrift.analysis.games import review
from ringrift.analysis.participants import Library
from ringrift.analysis.searching import Searcher
from ringrift.rules import Config, Position

HEX8 = Config.parse("hex8_2p")


def random_record(seed: int, **options):
    import numpy as np

    rng, position = np.random.default_rng(seed), Position.start(HEX8)
    moves = []
    while not position.over:
        moves.append(position.token(int(rng.choice(position.legal_codes()))))
        position.play(moves[-1])
    return record_of(HEX8, moves, **options)


async def test_a_review_has_a_value_for_every_ply(searching: Searcher, library: Library) -> None:
    record, done = random_record(5), []
    who = await library.participant(HEX8, "gumbel:8")
    found = await review(
        searching, who, record, progress=lambda *step: done.append(step), blunder_loss=0.05
    )
    assert [ply.move for ply in found.plies] == list(record.moves)
    assert done[-1][0] == done[-1][1] == len(done)
    assert sorted(found.final) == [-1.0, 1.0]
    for ply, after in zip(found.plies, [*found.plies[1:], None], strict=True):
        now, then = ply.values, after.values if after else found.final
        if ply.best is None:  # forced
            assert now == then
            assert ply.loss is None
        else:
            assert ply.loss == pytest.approx(now[ply.seat - 1] - then[ply.seat - 1], abs=1e-4)
        assert ply.blunder == (ply.loss is not None and ply.loss >= 0.05 and ply.move != ply.best)
    assert found.blunders


async def test_an_unfinished_game_ends_with_the_value_of_its_last_position(
    searching: Searcher, library: Library
) -> None:
    record = record_of(HEX8, ["@e5", "e5-e6", "-l", "-t"])
    found = await review(searching, await library.participant(HEX8, "gumbel:8"), record)
    assert None not in found.final
    assert found.plies[-1].values == found.final


async def test_resigning_is_no_blunder(searching: Searcher, library: Library) -> None:
    record = record_of(HEX8, ["@e5", "resign"])
    found = await review(searching, await library.participant(HEX8, "heuristic"), record)
    assert found.plies[-1].best is not None
    assert found.plies[-1].loss is None
    assert not found.plies[-1].blunder
