"""Games between people and participants, played by script."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.positions import replayed

from ringrift.analysis.participants import Library
from ringrift.analysis.searching import Searcher
from ringrift.analysis.sessions import Person, Session
from ringrift.errors import CommandError
from ringrift.learning.shards import check_game
from ringrift.rules import CONFIGS, Config, IllegalMove, Record

HEX8 = Config.parse("hex8_2p")
ANNA, BEN = Person("Anna"), Person("Ben")


def play_at_random(session: Session, rng: np.random.Generator) -> None:
    found = session.choices()
    session.play(found[rng.integers(len(found))].token)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
async def test_a_person_plays_a_whole_game(
    config: Config, searching: Searcher, library: Library
) -> None:
    # given a person who plays at random against the heuristic
    heuristic, rng = await library.participant(config, "heuristic"), np.random.default_rng(1)
    session = Session(config, [heuristic] * (config.seats - 1) + [ANNA])
    # when all have played
    while not session.over:
        await session.advance(searching)
        if not session.over:
            assert session.awaits_person
            assert session.turn is ANNA
            play_at_random(session, rng)
    # then the record is that of the game, and only choices were asked for
    record = Record.parse(str(session.record()))
    assert replayed(record).text() == session.position.text()
    assert record.seats[-1] == "Anna"
    for ply in session.plies:
        assert ply.by_person == (not ply.forced and ply.seat == config.seats)
    # and it is a fact that replays to its end
    fact = session.fact(game="human-1", node="n", settings_version=1)
    assert (fact.origin, fact.ticket) == ("human", "human-1")
    assert [seat.participant for seat in fact.seats][-1] == "person:Anna"
    assert not len(check_game(fact).decisions.plies)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), moves=st.integers(1, 60))
def test_undo_and_the_same_move_give_the_same_position(seed: int, moves: int) -> None:
    session, rng = Session(HEX8, [ANNA, BEN], pie=seed % 2 == 0), np.random.default_rng(seed)
    for _ in range(moves):
        if session.over:
            break
        before = session.position.text()
        play_at_random(session, rng)
    after, plies = session.position.text(), list(session.plies)
    session.undo()
    assert session.position.text() == before
    session.play(plies[len(session.plies)].token)
    assert (session.position.text(), session.plies) == (after, plies)


async def test_undo_returns_to_the_last_choice_of_a_person(
    searching: Searcher, library: Library
) -> None:
    session = Session(HEX8, [ANNA, await library.participant(HEX8, "random")])
    start = session.position.text()
    with pytest.raises(CommandError, match="no choice of a person to undo"):
        session.undo()
    session.play("@e5")
    placed = session.position.text()
    session.play(session.choices()[0].token)
    await session.advance(searching)
    session.undo()
    assert session.position.text() == placed
    session.undo()
    assert session.position.text() == start
    assert not session.can_undo


async def test_a_participant_plays_the_same_after_an_undo(
    searching: Searcher, library: Library
) -> None:
    session = Session(HEX8, [ANNA, await library.participant(HEX8, "gumbel:8")], seed=7)
    session.play("@e5")
    move = session.choices()[3].token
    games = []
    for _ in range(2):
        session.play(move)
        await session.advance(searching)
        games.append(session.position.text())
        session.undo()
    assert games[0] == games[1]


async def test_an_undo_during_a_search_discards_its_move(
    searching: Searcher, library: Library
) -> None:
    session = Session(HEX8, [ANNA, await library.participant(HEX8, "gumbel:64")])
    session.play("@e5")
    session.play(session.choices()[0].token)
    playing = asyncio.create_task(session.step(searching))
    await asyncio.sleep(0)
    session.undo()
    before = session.position.text()
    assert await playing == []
    assert session.position.text() == before


def test_the_players_trade_seats_after_a_swap() -> None:
    session = Session(HEX8, [ANNA, BEN], pie=True)
    session.play("@e5")
    session.play("e5-e6")
    assert session.turn is BEN
    session.play("swap")
    assert session.turn is ANNA
    assert session.position.seat == 2
    session.undo()
    assert session.turn is BEN


def test_resigning_ends_the_game() -> None:
    session = Session(HEX8, [ANNA, BEN])
    session.resign()
    assert session.record().result == "2 resign"
    assert session.turn is None
    assert session.choices() == ()
    with pytest.raises(IllegalMove, match="the game is over"):
        session.resign()


def test_an_illegal_move_changes_nothing() -> None:
    session = Session(HEX8, [ANNA, BEN])
    before = session.position.text(), session.revision
    with pytest.raises(IllegalMove):
        session.play("e5-e6")
    assert (session.position.text(), session.revision) == before


@pytest.mark.parametrize("name", ["", "x" * 41, 'a"b', "a\\b", "a\nb", "a\x9bb"])
def test_a_name_must_fit_a_record(name: str) -> None:
    with pytest.raises(CommandError, match="a name has 1 to 40 characters"):
        Person(name)


def test_players_must_fit_the_config() -> None:
    with pytest.raises(CommandError, match="hex8_2p has 2 seats, not 1"):
        Session(HEX8, [ANNA])
    with pytest.raises(CommandError, match="the pie rule is for two seats"):
        Session(Config.parse("hex8_3p"), [ANNA, BEN, ANNA], pie=True)
