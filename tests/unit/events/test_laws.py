"""Facts that contradict themselves are refused to their authors and to every reader."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from support import loop_facts
from support.games import recorded_game
from support.ratings import table

from ringrift.events import Fact, UndecodableEvent, UnlawfulFact, decode, draft, encode, facts as f

A, B = "a" * 64, "b" * 64
CONFIG = "hex8_2p"
SCORE = loop_facts.scored("random", 2, 1)
GAME = recorded_game(0)
RANKING = SCORE.rankings[0]
SUMMARY = f.ShardSummary(
    games=64,
    wins=(40, 20),
    plies=640,
    plies_squared=7000,
    openings=60,
    participants=("p",),
    decisions=64,
    agreed=60,
)
SHARD = replace(loop_facts.exported(), summary=SUMMARY)
TUNED = f.HyperparametersAdjusted(config=CONFIG, settings_version=1, values={}, why="w")
SHARES = f.AllocationDecided(shares={CONFIG: 1.0}, terms={}, settings_version=1)
WEIGHTS = f.CurriculumReweighted(
    config=None, reason="outage", amplitude=1.0, weights={CONFIG: 1.0}, settings_version=1
)
TABLE = table({"p": 1.0})
LAWFUL = (SCORE, GAME, SHARD, TUNED, SHARES, WEIGHTS, TABLE, loop_facts.planned())


def data(fact: Any, **changes: Any) -> dict[str, Any]:
    """The fact as JSON, with some values replaced."""
    return {**json.loads(msgspec.json.encode(fact)), **changes}


RANKED = data(RANKING)
UNLAWFUL: list[tuple[Fact, dict[str, Any], str]] = [
    (SCORE, {"scores": [], "games": 0, "rankings": []}, "at least one start"),
    (SCORE, {"scores": [[0.5, 0]]}, ">= 1"),
    (SCORE, {"scores": [[1.5, 3]]}, "<= 1"),
    (SCORE, {"scores": [[0.5, 1], [0.5, 2]]}, "twice"),
    (SCORE, {"games": 7}, "one game for each seat"),
    (SCORE, {"wins": 1e308}, "wins"),
    (SCORE, {"config": "hex8_3p"}, "has a ranking"),
    (SCORE, {"candidate": "other"}, "others played"),
    (SCORE, {"rankings": [{**RANKED, "ranks": [1]}]}, "rankings"),
    (SCORE, {"rankings": [{**RANKED, "ranks": [1, 3]}]}, "ranks are not those of a game"),
    (SCORE, {"rankings": [{**RANKED, "ranks": [2, 1]}]}, "ranks are not those of a game"),
    (SCORE, {"rankings": [{**RANKED, "order": ["p", "p"]}]}, "two different"),
    (SCORE, {"play_seconds": 1e308}, "play_seconds"),
    (SCORE, {"play_seconds": -1.0}, "play_seconds"),
    (SCORE, {"node": "n\n"}, "node"),
    (SCORE, {"candidate": "p\n"}, "candidate"),
    (SCORE, {"candidate_model": B + "\n"}, "candidate_model"),
    (SCORE, {"ticket": ""}, "ticket"),
    (GAME, {"winner": 3}, "the winner has no seat"),
    (GAME, {"ranks": [2, 2]}, "ranks are not those of a game"),
    (GAME, {"winner": 3 - GAME.winner}, "the winner has rank 1"),
    (GAME, {"removed": [0, 0, 0]}, "seats differ"),
    (GAME, {"config": "hex8_3p"}, "seats differ"),
    (GAME, {"plies": 10**9}, "plies"),
    (SHARD, {"last_seq": 0}, "last_seq"),
    (SHARD, {"first_seq": 100, "last_seq": 99}, "behind"),
    (SHARD, {"games": 65}, "more games than messages"),
    (SHARD, {"summary": data(SUMMARY, wins=[1, 1, 1])}, "not by seat"),
    (SHARD, {"summary": data(SUMMARY, wins=[64, 1])}, "more wins"),
    (SHARD, {"summary": data(SUMMARY, agreed=65)}, "agreed"),
    (SHARD, {"samples": 2**53 + 1}, "samples"),
    (TUNED, {"values": {"training.speed": "1"}}, "unknown"),
    (TUNED, {"factors": {"training.epochs": 0.5}}, "one of a value"),
    (SHARES, {"shares": {CONFIG: 0.0}}, "shares"),
    (SHARES, {"shares": {CONFIG: 0.5}}, "sum to 1"),
    (SHARES, {"shares": {"chess_2p": 1.0}}, "chess_2p"),
    (WEIGHTS, {"weights": {CONFIG: 0.0}}, "weights"),
    (WEIGHTS, {"weights": {"[/x]": 1.0}}, "x"),
    (TABLE, {"ratings": data(TABLE)["ratings"] * 2}, "one rating"),
    (TABLE, {"ratings": [{"participant": "p", "elo": 1e308, "se": 1.0, "games": 1}]}, "elo"),
    (TABLE, {"anchor": None}, "ratings have an anchor"),
    (TABLE, {"anchor": "p"}, "the anchor has Elo 0"),
    (TABLE, {"anchor": "q"}, "the anchor has Elo 0"),
    (TABLE, {"unrated": ["p"]}, "is rated or not"),
    (loop_facts.planned(), {"games": 2**53}, "too many tickets"),
]


@pytest.mark.parametrize(("fact", "changes", "reason"), UNLAWFUL)
def test_an_unlawful_fact_does_not_decode(fact: Fact, changes: Any, reason: str) -> None:
    stored = json.loads(encode(draft(fact, cause=None, source="test")))
    stored["data"] |= changes
    scope = changes.get("config", CONFIG)
    stored["subject"] = stored["subject"].replace(CONFIG, scope)
    with pytest.raises(UndecodableEvent, match=reason):
        decode(json.dumps(stored).encode(), stream="EVENTS", seq=3)


@pytest.mark.parametrize("fact", LAWFUL, ids=lambda fact: type(fact).__name__)
def test_a_lawful_fact_is_written_and_read(fact: Fact) -> None:
    body = encode(draft(fact, cause=None, source="test", time=datetime(2026, 1, 1, tzinfo=UTC)))
    assert decode(body, stream="EVENTS", seq=3).event == fact


@pytest.mark.parametrize(
    "changes", [{"play_seconds": float("nan")}, {"play_seconds": float("inf")}, {"node": "N 1"}]
)
def test_an_author_is_refused_what_no_reader_accepts(changes: Any) -> None:
    with pytest.raises(UnlawfulFact, match=f"EvaluationScored.*{next(iter(changes))}"):
        encode(draft(replace(SCORE, **changes), cause=None, source="test"))


def test_an_author_is_refused_a_contradiction() -> None:
    with pytest.raises(ValueError, match="twice"):
        replace(SCORE, scores=SCORE.scores * 2)
