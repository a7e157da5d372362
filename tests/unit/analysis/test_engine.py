"""The analysis engine, line by line."""

import asyncio
import errno
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ringrift.analysis import engine as engines
from ringrift.analysis.engine import Engine
from ringrift.analysis.participants import Library
from ringrift.analysis.searching import Searcher
from ringrift.rules import Config, Position

HEX8 = Config.parse("hex8_2p")
ASK = {"id": "a", "config": "hex8_2p", "simulations": 8}


async def lines_of(*messages: Any) -> AsyncIterator[bytes]:
    for message in messages:
        yield message if isinstance(message, bytes) else json.dumps(message).encode()


@pytest.fixture
def answered(searching: Searcher, library: Library):
    async def run(*messages: Any) -> list[dict[str, Any]]:
        said: list[bytes] = []
        await Engine(library, searching, said.append).run(lines_of(*messages))
        assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in said)
        return [json.loads(line) for line in said]

    return run


async def test_an_answer_has_root_and_moves(answered) -> None:
    (found,) = await answered({**ASK, "moves": ["@e5"]})
    assert found["id"] == "a"
    assert found["turnNumber"] == 1
    assert found["isDuringSearch"] is False
    assert found["participant"] == "baseline:gumbel:s8"
    root, moves = found["rootInfo"], found["moveInfos"]
    assert (root["seat"], root["visits"], len(root["values"])) == (1, 8, 2)
    assert len(root["rawValues"]) == 2
    assert sum(move["visits"] for move in moves) == 8
    assert [move["order"] for move in moves] == list(range(len(moves)))
    assert {"move", "visits", "prior", "values", "improvedPolicy", "pv"} <= moves[0].keys()
    assert moves[0]["pv"][0] == moves[0]["move"]


async def test_positions_are_answered_by_their_number_of_moves(answered) -> None:
    moves = ["@e5", "e5-e6", "@a5"]  # the forced plies of seat 1 are left out
    found = await answered({**ASK, "moves": moves, "analyzeTurns": [3, 0, 2]})
    by_turn = {one["turnNumber"]: one for one in found}
    assert sorted(by_turn) == [0, 2, 3]
    assert by_turn[2]["forced"] == ["-l", "-t"]
    assert [by_turn[turn]["rootInfo"]["seat"] for turn in (0, 2, 3)] == [1, 2, 2]


async def test_a_position_continues_with_moves(answered) -> None:
    position = Position.start(HEX8)
    position.play("@e5")
    asked = {"id": "a", "simulations": 8, "position": position.text(), "moves": ["e5-e6"]}
    (one,) = await answered(asked)
    (other,) = await answered({**ASK, "moves": ["@e5", "e5-e6"]})
    assert (one["turnNumber"], other["turnNumber"]) == (1, 2)
    assert one | {"turnNumber": 2} == other


async def test_options_choose_what_is_listed(answered) -> None:
    (found,) = await answered({**ASK, "includePolicy": True, "includePV": False})
    assert len(found["moveInfos"]) == 183
    assert not any("pv" in move for move in found["moveInfos"])
    (found,) = await answered({**ASK, "allowMoves": ["@e5", "@a5"]})
    assert {move["move"] for move in found["moveInfos"]} == {"@e5", "@a5"}


async def test_reports_during_the_search_grow(answered) -> None:
    found = await answered({**ASK, "simulations": 128, "reportDuringSearchEvery": 1e-9})
    assert [one["isDuringSearch"] for one in found] == [True, True, False]
    assert [one["rootInfo"]["visits"] for one in found] == [8, 32, 128]


async def test_every_harness_answers(answered) -> None:
    asked = [
        {"id": name, "config": config, "harness": name, "simulations": budget}
        for name, config, budget in (
            ("minimax", "hex8_2p", 32),
            ("maxn", "square8_3p", 32),
            ("brs", "square8_3p", 32),
            ("descent", "hex8_2p", 32),
            ("heuristic", "hex8_2p", 0),
            ("random", "hex8_2p", 0),
        )
    ]
    found = await answered(*asked)
    assert {one["id"] for one in found} == {one["id"] for one in asked}
    assert all(one["moveInfos"] for one in found)


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"config": "chess"}, "config", "unknown config 'chess'"),
        ({"config": None}, "config", "give a config such as hex8_2p"),
        ({"config": 3}, "config", "Expected `str | null`"),
        ({"id": ""}, "id", "length >= 1"),
        ({"moves": ["e5"]}, "moves", "no move of section 21.2"),
        ({"moves": ["e5-e6"]}, "moves", "is not legal"),
        ({"moves": "@e5"}, "moves", "Expected `array`"),
        ({"position": "hex8/2"}, "position", "column"),
        ({"position": Position.start(Config.parse("hex8_3p")).text()}, "config", "hex8_3p"),
        ({"pie": True, "config": "hex8_3p"}, "pie", "two seats"),
        ({"analyzeTurns": [1]}, "analyzeTurns", "from 0 to 0"),
        ({"analyzeTurns": []}, "analyzeTurns", "from 0 to 0"),
        ({"harness": "chess"}, "harness", "not 'chess'"),
        ({"harness": "maxn"}, "harness", "3 or 4 seats"),
        ({"harness": "heuristic"}, "harness", "needs 0 simulations"),
        ({"simulations": 10**9}, "simulations", "<= 100000"),
        ({"model": "current"}, "model", "has no current network"),
        ({"allowMoves": ["e5-e6"]}, "allowMoves", "is not legal"),
        ({"reportDuringSearchEvery": 0}, "reportDuringSearchEvery", "> 0"),
        ({"action": "dance"}, "action", "Invalid enum value"),
        ({"action": "terminate"}, "terminateId", "name the query"),
    ],
)
async def test_an_error_names_the_field(answered, changes, field, text) -> None:
    *_, found = await answered({**ASK, **changes})
    assert found.keys() <= {"error", "field", "id"}
    assert found["field"] == field
    assert text in found["error"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"{", "the line is not JSON"),
        (b"[]", "the line is not an object"),
        (b'{"id": "\xff"}', "the line is not"),
        (b" " * (engines.LINE_BYTES_MAX + 1) + b"1", "more than 1,048,576 bytes"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
async def test_a_broken_line_is_an_error_and_the_next_one_answers(answered, line, text) -> None:
    broken, found = await answered(line, b"", ASK)
    assert text in broken["error"]
    assert found["id"] == "a"


async def test_an_unknown_field_is_a_warning(answered) -> None:
    warning, found = await answered({**ASK, "komi": 7})
    assert warning == {"warning": "unknown field, ignored", "field": "komi", "id": "a"}
    assert found["rootInfo"]


async def test_an_id_is_used_by_one_query_at_a_time(answered) -> None:
    error, found = await answered(ASK, ASK)
    assert error["field"] == "id"
    assert found["rootInfo"]


async def test_a_terminated_query_answers_at_once(answered) -> None:
    queries = [{**ASK, "id": name, "simulations": 4096} for name in "abc"]
    end = {"id": "end", "action": "terminate", "terminateId": "b"}
    rest = {"id": "rest", "action": "terminate_all"}
    found = await answered(*queries, end, rest)
    assert found[:2] == [end, rest]
    assert {one["id"] for one in found[2:]} == {*"abc"}
    assert all(one["noResults"] and not one["isDuringSearch"] for one in found[2:])


async def test_only_some_turns_are_terminated(answered) -> None:
    asked = {**ASK, "moves": ["@e5", "e5-e6"], "analyzeTurns": [0, 1, 2]}
    end = {"id": "end", "action": "terminate", "terminateId": "a", "turnNumbers": [0, 2]}
    found = {one.get("turnNumber"): one for one in await answered(asked, end)}
    assert [found[turn].get("noResults", False) for turn in (0, 1, 2)] == [True, False, True]


async def test_actions_about_the_engine(answered) -> None:
    asked = [{"id": name, "action": name} for name in ("query_version", "query_models")]
    version, models, cache = await answered(*asked, {"id": "c", "action": "clear_cache"})
    assert (version["version"], version["rulesVersion"]) == ("0.1.0", 1)
    assert models["models"] == []
    assert cache == {"id": "c", "action": "clear_cache"}


async def test_urgent_queries_come_first(answered) -> None:
    queries = [{**ASK, "id": str(n), "priority": n, "simulations": 8 + n} for n in range(3)]
    assert [one["id"] for one in await answered(*queries)] == ["2", "1", "0"]


async def test_reading_pauses_while_many_positions_wait(
    searching: Searcher, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "WAITING_MAX", 2)
    waiting, made = [], None

    async def lines() -> AsyncIterator[bytes]:
        for number in range(12):
            waiting.append(len(made._turns))
            yield json.dumps({**ASK, "id": str(number)}).encode()

    said: list[bytes] = []
    made = Engine(library, searching, said.append)
    await made.run(lines())
    assert len(said) == 12
    assert max(waiting) <= 2


@pytest.mark.parametrize("failure", [BrokenPipeError(), OSError(errno.ENOSPC, "no space")])
async def test_nothing_is_searched_when_no_answer_can_be_written(
    searching: Searcher, library: Library, failure: Any
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for number in itertools.count():
            yield json.dumps({**ASK, "id": str(number)}).encode()
            await asyncio.sleep(0)

    def write(line: bytes) -> None:
        raise failure

    with pytest.raises(type(failure)):
        await Engine(library, searching, write).run(endless())


async def test_an_error_of_the_search_is_reported_and_the_engine_goes_on(
    searching: Searcher, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, failures = searching._search, iter([RuntimeError("no memory")])

    def fails_once(batch):
        for error in failures:
            raise error
        return search(batch)

    monkeypatch.setattr(searching, "_search", fails_once)
    said: list[bytes] = []
    first_answered = asyncio.Event()

    def write(line: bytes) -> None:
        said.append(line)
        first_answered.set()

    async def lines() -> AsyncIterator[bytes]:
        yield json.dumps(ASK).encode()
        await first_answered.wait()
        yield json.dumps(ASK).encode()

    await Engine(library, searching, write).run(lines())
    error, found = map(json.loads, said)
    assert error == {"error": "RuntimeError: no memory", "id": "a"}
    assert found["rootInfo"]
