"""The matches that measure a network, derived from the registry of harnesses."""

from __future__ import annotations

from collections import Counter

import pytest

from ringrift.events.participants import kind_of
from ringrift.learning import pairings
from ringrift.learning.play import player_of
from ringrift.nets.shapes import ARCHITECTURES, NNUES
from ringrift.rules import Config
from ringrift.search.harness import HARNESSES, MODEL_KINDS, compatible

MODEL, OTHER, THIRD = "ab" * 32, "cd" * 32, "ef" * 32
HEX8 = Config.parse("hex8_2p")


def test_a_network_plays_random_the_heuristic_and_itself() -> None:
    names = [(one.participant, other.participant) for one, other in pairings.strength(MODEL, 64)]
    assert names == [
        ("abababababab:gumbel:s64", "baseline:random:s0"),
        ("abababababab:gumbel:s64", "baseline:heuristic:s0"),
        ("abababababab:gumbel:s64", "abababababab:gumbel:s128"),
        ("abababababab:policy:s0", "baseline:random:s0"),
    ]
    assert len(pairings.strength(MODEL, 64, ["heuristic"])) == 1


@pytest.mark.parametrize("key", ["hex8_2p", "square8_4p"])
def test_every_searching_harness_plays_each_step_of_the_ladder(key: str) -> None:
    config = Config.parse(key)
    found = pairings.ladder(config, [8, 16, 32])
    players = Counter(one.harness for one, _ in found)
    wanted = [
        n
        for n, h in HARNESSES.items()
        if h.searches and config.seats in h.seats and "heuristic" in h.evaluators
    ]
    assert players == dict.fromkeys(wanted, 2)
    for one, other in found:
        assert (one.harness, one.model, one.simulations) == (
            other.harness,
            None,
            2 * other.simulations,
        )
        assert player_of(config, one, None, 1)


def test_without_budgets_each_harness_plays_its_own_ladder() -> None:
    steps = [
        (one.simulations, other.simulations)
        for one, other in pairings.ladder(HEX8)
        if one.harness == "minimax"
    ]
    assert steps == [(256, 32), (2048, 256)]
    assert {one.harness for one, _ in pairings.ladder(HEX8)} == {
        "gumbel",
        "gpu_gumbel",
        "puct",
        "minimax",
        "descent",
    }


def test_a_network_adds_its_own_ladders() -> None:
    assert {one.model for one, _ in pairings.ladder(HEX8, [8, 16], model=MODEL)} == {None, MODEL}
    assert pairings.ladder(HEX8, [8]) == []


def test_a_gauntlet_has_every_harness_that_can_use_the_network() -> None:
    pairs = pairings.gauntlet(HEX8, MODEL, 32)
    players = [pair.candidate for pair in pairs if pair.opponent == pairings.RANDOM]
    assert {player.harness for player in players} == {
        n for n, h in HARNESSES.items() if "network" in h.evaluators and 2 in h.seats
    }
    assert all(
        (player.simulations == 32) == HARNESSES[player.harness].searches for player in players
    )
    assert len(pairs) == 2 * len(players)


def test_a_gauntlet_of_an_nnue_has_the_harnesses_of_its_kind() -> None:
    def players(config: str, architecture: str) -> set[tuple[str, str]]:
        pairs = pairings.gauntlet(Config.parse(config), MODEL, 30, kind=kind_of(architecture))
        return {(pair.candidate.harness, pair.candidate.evaluator) for pair in pairs}

    assert players("hex8_2p", "nnue") == {("minimax", "nnue")}
    assert players("hex8_2p", "nnue_policy") == {
        ("minimax", "nnue"),
        ("policy", "nnue"),
        ("gumbel", "nnue"),
        ("puct", "nnue"),
    }
    assert players("hex8_3p", "nnue_mp") == {("maxn", "nnue"), ("brs", "nnue")}
    assert ("gumbel", "network") in players("hex8_2p", "v2-micro")


def test_a_round_robin_pairs_every_two_networks_once() -> None:
    found = pairings.round_robin(dict.fromkeys([MODEL, OTHER, THIRD], "network"), 16)
    assert {frozenset((one.model, other.model)) for one, other in found} == {
        frozenset(pair) for pair in ((MODEL, OTHER), (MODEL, THIRD), (OTHER, THIRD))
    }
    assert len(found) == 3


@pytest.mark.parametrize("name", [*ARCHITECTURES, *NNUES])
def test_the_usual_match_of_an_architecture_is_one_that_its_table_allows(name: str) -> None:
    kind = kind_of(name)
    assert MODEL_KINDS[kind][1] == (name in ARCHITECTURES or NNUES[name].policy > 0)
    for seats in (2, 3, 4):
        (first, *_) = pairings.strength(MODEL, 64, kind=kind, seats=seats)
        assert first.candidate.harness in compatible(kind, seats)
        assert first.candidate.evaluator == MODEL_KINDS[kind][0]


def test_an_nnue_without_a_policy_is_measured_by_depth_first_search() -> None:
    two, four = (pairings.strength(MODEL, 64, kind="nnue", seats=seats) for seats in (2, 4))
    assert {pair.candidate.harness for pair in two} == {"minimax"}
    assert {pair.candidate.harness for pair in four} == {"maxn"}
    assert two[0].candidate.simulations == 512
