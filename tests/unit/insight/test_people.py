"""Ratings of people: apart from those of networks, anchored where games connect them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from support.games import recorded_game

from ringrift.deciders.loop import rating
from ringrift.deciders.stats import plackett_luce
from ringrift.events import draft
from ringrift.events.facts import GameCompleted, GamesRetracted, Seat
from ringrift.events.participants import seat
from ringrift.insight.sql.log_tables import FILE, open_tables, refresh, rows_of
from ringrift.insight.strength.people import HumanGame, Player, rate
from ringrift.tools.memory_log import MemoryLog

NETWORK, HEURISTIC = "c0ffee000000:gumbel:s64", "baseline:heuristic:s0"
MATCHES = rating.Elo(
    rankings={f"{NETWORK} {HEURISTIC} 1,2": 60, f"{HEURISTIC} {NETWORK} 1,2": 20}, games=80
)


def game(*players: str, ranks: tuple[int, ...] = (1, 2)) -> HumanGame:
    """A finished game of people; the ranks are by seat."""
    seats = tuple(Player(participant=name) for name in players)
    names = {"game": "g", "config": "hex8_2p", "origin": "human", "ticket": "g", "node": "n"}
    return HumanGame(**names, seats=seats, ranks=ranks)


def test_a_person_is_compared_with_the_heuristic_through_the_networks_they_played() -> None:
    games = [game("person:Ada", NETWORK)] * 3 + [game(NETWORK, "person:Ada")]
    rows = {row.participant: row for row in rate("hex8_2p", games, MATCHES)}
    expected = plackett_luce.fit(
        [
            (("person:Ada", NETWORK), 3.0),
            ((NETWORK, "person:Ada"), 1.0),
            ((NETWORK, HEURISTIC), 60.0),
            ((HEURISTIC, NETWORK), 20.0),
        ],
        virtual_draws=rating.VIRTUAL_DRAWS,
        anchor=HEURISTIC,
    )
    (ada,) = [player for player in expected.players if player.name == "person:Ada"]
    assert rows.keys() == {"person:Ada", NETWORK}  # nobody played the heuristic
    assert rows["person:Ada"].elo == pytest.approx(ada.elo)
    assert rows["person:Ada"].elo_95_half_width == pytest.approx(ada.elo_95_half_width)
    assert (rows["person:Ada"].games, rows["person:Ada"].anchor) == (4, HEURISTIC)
    assert (rows["person:Ada"].person, rows[NETWORK].person) == (True, False)


def test_without_a_chain_to_a_baseline_the_network_with_the_most_games_is_zero() -> None:
    games = [game("person:Ada", "deadbeef0000:gumbel:s8"), game("person:Bo", "person:Cy")]
    found = {row.participant: (row.anchor, row.elo > 0) for row in rate("hex8_2p", games, MATCHES)}
    assert found == {
        "person:Ada": ("deadbeef0000:gumbel:s8", True),
        "deadbeef0000:gumbel:s8": ("deadbeef0000:gumbel:s8", False),
        "person:Bo": ("person:Bo", False),
        "person:Cy": ("person:Bo", False),
    }


def test_four_seats_and_ties_are_rated_and_a_game_against_oneself_is_not() -> None:
    names = "person:Ada", "person:Bo", HEURISTIC, HEURISTIC
    rows = rate("hex8_4p", [game(*names, ranks=(2, 2, 1, 4))], rating.Elo())
    assert {row.participant: row.elo for row in rows}[HEURISTIC] == 0.0
    assert rate("hex8_2p", [game("person:Ada", "person:Ada")], MATCHES) == []


def kept(number: int, **changes: object) -> GameCompleted:
    """A game that a person kept, against the heuristic."""
    seats = (Seat(participant="person:Ada", harness="person"), seat("heuristic"))
    name = f"human-{number}"
    base = recorded_game(number, origin="human", game=name, ticket=name, seats=seats)
    return replace(base, **changes)


async def test_the_tables_have_the_people_of_a_log_without_retracted_games(tmp_path: Path) -> None:
    log = MemoryLog()
    facts = [kept(0), kept(1), kept(2, node="broken"), recorded_game(3)]
    for fact in facts:
        await log.append([draft(fact, cause=None, source="test", key=fact.game)])

    async def rows() -> list[tuple[object, ...]]:
        await refresh(log, tmp_path / FILE)
        connection = open_tables(tmp_path / FILE)
        found = list(rows_of(connection, "SELECT participant, games, anchor FROM people"))
        connection.close()
        return sorted(tuple(row.values()) for row in found)

    assert await rows() == [(HEURISTIC, 3, HEURISTIC), ("person:Ada", 3, HEURISTIC)]
    gone = GamesRetracted(
        config="hex8_2p", node="broken", first_seq=1, last_seq=4, count=1, why="test"
    )
    await log.append([draft(gone, cause=None, source="test", key="gone")])
    assert await rows() == [(HEURISTIC, 2, HEURISTIC), ("person:Ada", 2, HEURISTIC)]
