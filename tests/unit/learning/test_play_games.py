"""Self-play: every record replays, and a game depends only on its seed."""

import dataclasses

import msgspec
import numpy as np
import pytest
from support.networks import random_nnue, random_nnue_policy

from ringrift.events.facts import GameCompleted, SelfplayPlanned
from ringrift.events.participants import seat
from ringrift.events.settings import SelfplaySettings
from ringrift.events.tickets import SelfplayTicket, tickets_of
from ringrift.learning import targets
from ringrift.learning.openings import PLIES
from ringrift.learning.play import RIVAL, Host, opponent_of, play_games, players_of
from ringrift.learning.shards import GameRejected, build_shard, check_game, read_shard
from ringrift.learning.window import open_window
from ringrift.nets.nnue.policy import Weights, no_weights
from ringrift.rules import Config, Position
from ringrift.search.arrays import Codes, Floats, States
from ringrift.search.harness import HARNESSES, HarnessError, Model
from ringrift.search.splitmix import seed_of

SETTINGS = SelfplaySettings(noise_plies=12, considered=8)

DIGEST = "ab" * 32


def plan(config: str, games: int, **changes: object) -> SelfplayPlanned:
    fields: dict[str, object] = {
        "config": config,
        "generation": 1,
        "games": games,
        "games_per_ticket": games,
        "simulations": 8,
        "model": None,
        "seed": 3,
        "settings_version": 2,
    }
    return SelfplayPlanned(**{**fields, **changes})  # type: ignore[arg-type]


def ticket(config: str, games: int, **changes: object) -> SelfplayTicket:
    (found,) = tickets_of(plan(config, games, **changes), "EVENTS/7")
    assert isinstance(found, SelfplayTicket)
    return found


def timeless(game: GameCompleted) -> GameCompleted:
    return msgspec.structs.replace(game, play_seconds=0.0)


def replayed(game: GameCompleted) -> list[Position]:
    """Return every position of the game. Raises RulesError for an illegal move."""
    position = Position.start(Config.parse(game.config), pie=game.pie)
    found = [position.copy()]
    for token in game.moves.split():
        position.play(token)
        found.append(position.copy())
    return found


@pytest.mark.parametrize("key", ["hex8_2p", "square8_3p", "hex8_4p"])
def test_every_game_replays_to_its_end(key: str) -> None:
    games = list(play_games(ticket(key, 4), SETTINGS, Host(node="here", threads=1)))
    assert sorted(game.game for game in games) == [f"selfplay-events-7-0-{n}" for n in range(4)]
    for game in games:
        positions = replayed(game)
        end = positions[-1]
        assert end.over
        assert len(positions) == game.plies + 1
        assert (end.winner, end.reason, end.ranks()) == (game.winner, game.reason, game.ranks)
        assert (end.removed(), end.territory()) == (game.removed, game.territory)
        seats, decisions = targets.decode(game.targets)
        assert seats == end.config.seats == len(game.seats)
        choices = [
            ply for ply, position in enumerate(positions[:-1]) if len(position.legal_codes()) > 1
        ]
        assert [decision.ply for decision in decisions] == choices, (
            "every decision with a choice is searched, no forced ply"
        )
        for decision in decisions:
            assert decision.indices.max() < len(positions[decision.ply].legal_codes())


def test_a_game_depends_only_on_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {
        game.game.rpartition("-")[2]: game
        for game in play_games(ticket("hex8_2p", 6), SETTINGS, Host(node="a", threads=2))
    }
    narrow = dataclasses.replace(HARNESSES["gumbel"], lockstep=2)
    monkeypatch.setattr("ringrift.learning.play.HARNESSES", {**HARNESSES, "gumbel": narrow})
    in_twos = {
        game.game.rpartition("-")[2]: game
        for game in play_games(ticket("hex8_2p", 6), SETTINGS, Host(node="a", threads=1))
    }
    assert {n: timeless(game) for n, game in whole.items()} == {
        n: timeless(game) for n, game in in_twos.items()
    }
    assert len({game.moves for game in whole.values()}) == 6
    second = tickets_of(plan("hex8_2p", 6, games_per_ticket=4), "EVENTS/7")[1]
    assert isinstance(second, SelfplayTicket)
    tail = list(play_games(second, SETTINGS, Host(node="a", threads=1)))
    assert {game.moves for game in tail} == {whole["4"].moves, whole["5"].moves}


def test_a_network_evaluates_and_is_named_in_the_record() -> None:
    asked = []

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        asked.append(len(states))
        return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)

    model = "c0ffee" + "0" * 58
    (game,) = play_games(
        ticket("hex8_2p", 1, model=model, simulations=2),
        SETTINGS,
        Host(node="a"),
        model=Model(evaluate),
    )
    assert asked
    (name,) = {seat.participant for seat in game.seats}
    # With noise it is another participant than in matches
    assert name.startswith("c0ffee000000:gumbel:s2-")
    assert game.seats[0].evaluator == "network"
    assert game.seats[0].model == model
    with pytest.raises(HarnessError, match="network"):
        next(iter(play_games(ticket("hex8_2p", 1, model=model), SETTINGS, Host(node="a"))))


def test_games_end_when_the_host_stops_them_between_decisions() -> None:
    calls = [None] * 4
    with pytest.raises(IndexError):
        list(play_games(ticket("square8_2p", 3), SETTINGS, Host(node="a", between=calls.pop)))


def test_a_smaller_width_gives_the_same_games() -> None:
    """As when memory is short during a part of a ticket."""
    asked: list[int] = []

    def tight(games: int) -> int:
        asked.append(games)
        return max(1, games // 2) if len(asked) > 5 else games

    wide = list(play_games(ticket("hex8_2p", 6), SETTINGS, Host(node="a", threads=1)))
    narrow = list(
        play_games(ticket("hex8_2p", 6), SETTINGS, Host(node="a", threads=1, width=tight))
    )
    assert {game.game: timeless(game) for game in wide} == {
        game.game: timeless(game) for game in narrow
    }
    assert max(asked) == 6


def test_a_player_searches_at_most_the_width_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        widths.append(len(states))
        return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)

    item = ticket("hex8_2p", 8, model="c0ffee" + "0" * 58, simulations=2)
    list(
        play_games(
            item,
            SETTINGS,
            Host(node="a", threads=1, width=lambda games: max(1, games // 4)),
            model=Model(evaluate),
        )
    )
    assert max(widths) == 2


def test_games_with_the_pie_rule_replay() -> None:
    settings = SelfplaySettings(noise_plies=12, considered=8, pie=True)
    games = list(play_games(ticket("square8_2p", 6), settings, Host(node="a", threads=1)))
    assert all(game.pie and replayed(game)[-1].over for game in games)


def test_random_openings_differ_in_length_and_have_no_targets() -> None:
    settings = msgspec.structs.replace(SETTINGS, opening_plies=3)
    games = {
        game.game: game
        for game in play_games(ticket("square8_2p", 12), settings, Host(node="a", threads=1))
    }
    plain = {
        game.game: game
        for game in play_games(ticket("square8_2p", 12), SETTINGS, Host(node="a", threads=1))
    }
    first = {name: targets.decode(game.targets)[1][0].ply for name, game in games.items()}
    # 0 to 3 random moves, and the forced ones that follow
    assert min(first.values()) == 0
    assert len(set(first.values())) > 2
    assert all(replayed(game)[-1].over for game in games.values())
    for name, game in games.items():
        assert (timeless(game) == timeless(plain[name])) == (first[name] == 0)


def test_a_share_of_games_begins_with_a_balanced_opening() -> None:
    def constant(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)

    def played(
        settings: SelfplaySettings, model: str | None = "a" * 64
    ) -> dict[str, GameCompleted]:
        network = Model(constant) if model else None
        games = play_games(
            ticket("square8_2p", 12, model=model),
            settings,
            Host(node="a", threads=1),
            model=network,
        )
        return {game.game: timeless(game) for game in games}

    pie = SelfplaySettings(noise_plies=12, considered=8, pie=True, even_openings=0.0)
    settings = msgspec.structs.replace(pie, even_openings=0.5)
    games, plain = played(settings), played(pie)
    assert all(replayed(game)[-1].over for game in games.values())
    even = {
        name for name, game in games.items() if targets.decode(game.targets)[1][0].ply >= PLIES[0]
    }
    assert 2 <= len(even) <= 10
    assert {name for name in games if games[name] != plain[name]} == even
    assert played(settings) == games
    assert played(settings, None) == played(pie, None), "the heuristic chooses no openings"


def test_a_game_that_is_too_long_is_stopped_as_a_draw() -> None:
    settings = SelfplaySettings(max_moves=60)
    games = list(play_games(ticket("hex8_2p", 2), settings, Host(node="a", threads=1)))
    assert {(game.plies, game.winner, game.ranks) for game in games} == {(60, 0, (1, 1))}
    checked = [check_game(game) for game in games]
    assert all(not game.outcome.any() and len(game.decisions.plies) > 10 for game in checked)
    assert {game.reason for game in games} == {"max_moves"}
    with pytest.raises(GameRejected, match="not over after its 60 plies"):
        check_game(msgspec.structs.replace(games[0], reason="line"))
    window = open_window([read_shard(build_shard(Config.parse("hex8_2p"), games)[0])], 1000)
    assert (window.ranks == 1).all()
    assert not window.outcome.any()


def test_seeds_differ_and_fit_a_json_number() -> None:
    seeds = {seed_of(1, generation, game) for generation in range(20) for game in range(50)}
    assert len(seeds) == 1000
    assert max(seeds) < 2**53
    assert seed_of(1, 2) != seed_of(2, 1)


def test_the_harness_sets_the_number_of_games_in_lockstep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both harnesses play the same games, one two and the other five at a time."""
    narrow = dataclasses.replace(HARNESSES["gumbel"], lockstep=2)
    monkeypatch.setattr("ringrift.learning.play.HARNESSES", {**HARNESSES, "gumbel": narrow})
    moves, widths = {}, {}
    asked: list[int] = []

    def width(games: int) -> int:
        asked.append(games)
        return games

    host = Host(node="here", threads=1, width=width)
    for harness, chosen in (("gumbel", "usual"), ("gpu_gumbel", "gpu_gumbel")):
        asked.clear()
        settings = msgspec.structs.replace(SETTINGS, harness=chosen)
        games = list(play_games(ticket("hex8_2p", 5), settings, host))
        (name,) = {seat.participant for game in games for seat in game.seats}
        assert name.startswith(f"baseline:{harness}:s8-")
        assert {seat.harness for game in games for seat in game.seats} == {harness}
        moves[harness] = {game.game: game.moves for game in games}
        widths[harness] = max(asked)
    assert widths == {"gumbel": 2, "gpu_gumbel": 5}
    assert moves["gumbel"] == moves["gpu_gumbel"]


def test_a_network_on_a_gpu_plays_in_wide_lockstep_by_default() -> None:
    def flat(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        return np.zeros(len(codes), np.float32), np.zeros((len(states), 2), np.float32)

    for gpu, harness in ((True, "gpu_gumbel"), (False, "gumbel")):
        model = Model(flat, gpu=gpu)
        (game,) = play_games(
            ticket("hex8_2p", 1, model=DIGEST), SETTINGS, Host(node="n", threads=1), model=model
        )
        assert {seat.harness for seat in game.seats} == {harness}


def test_the_baseline_of_alphazero_learns_from_shares_of_visits() -> None:
    settings = msgspec.structs.replace(SETTINGS, harness="puct")
    model = Model(never_called, nnue=random_nnue_policy("hex8_2p"))
    games = list(
        play_games(ticket("hex8_2p", 2, model=DIGEST), settings, Host(node="n"), model=model)
    )
    assert {(s.harness, s.evaluator) for game in games for s in game.seats} == {("puct", "nnue")}
    visits = targets.decode(games[0].targets)[1][0].probabilities * 8
    assert np.abs(visits - visits.round()).max() < 0.1  # of 8 simulations


def never_called(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
    raise AssertionError("no leaf leaves compiled code")


@pytest.mark.parametrize("key", ["hex8_2p", "square8_4p"])
def test_an_nnue_with_a_policy_plays_gumbel_search_inside_compiled_code(key: str) -> None:
    model = Model(never_called, nnue=random_nnue_policy(key))
    games = list(play_games(ticket(key, 4, model=DIGEST), SETTINGS, Host(node="n"), model=model))
    assert {(one.harness, one.evaluator) for game in games for one in game.seats} == {
        ("gumbel", "nnue")
    }
    for game in games:
        assert replayed(game)[-1].over
        assert len(targets.decode(game.targets)[1]) > 10


@pytest.mark.parametrize(("key", "harness"), [("hex8_2p", "minimax"), ("square8_3p", "maxn")])
def test_an_nnue_without_a_policy_plays_depth_first_search(key: str, harness: str) -> None:
    nnue = Weights(random_nnue(key), no_weights().policy)
    model = Model(lambda *_: pytest.fail("not asked"), policy=False, nnue=nnue)
    wanted = ticket(key, 3, model=DIGEST, simulations=4)
    games = list(play_games(wanted, SETTINGS, Host(node="n"), model=model))
    assert {(one.harness, one.simulations) for game in games for one in game.seats} == {
        (harness, 32)
    }
    assert len({game.moves for game in games}) == 3
    for game in games:
        assert len(check_game(game).decisions.plies) > 10


def rivals(games: list[GameCompleted]) -> dict[str, list[int]]:
    """Seats that the network of the plan does not have, by game."""
    return {
        game.game: [n for n, seat in enumerate(game.seats) if seat.model != DIGEST]
        for game in games
    }


@pytest.mark.parametrize("key", ["hex8_2p", "square8_3p"])
def test_a_share_of_games_has_an_opponent_at_one_seat(key: str) -> None:
    past = seat("gumbel", model="cd" * 32, evaluator="nnue", simulations=8, considered=4)
    model = Model(lambda *_: pytest.fail("not asked"), nnue=random_nnue_policy(key))
    fields = {"model": DIGEST, "opponents": (past,), "opponent_share": 0.5}
    wanted, host = ticket(key, 16, **fields), Host(node="n", threads=1)
    games = list(play_games(wanted, SETTINGS, host, model=model, opponent=model))
    found = rivals(games)
    assert {len(seats) for seats in found.values()} == {0, 1}
    assert len({tuple(seats) for seats in found.values()}) == 1 + len(games[0].seats)
    for game in games:
        number = int(game.game.rpartition("-")[2])
        expected = players_of(wanted.plan, seed_of(3, 1, number))
        assert [RIVAL if s.model == past.model else 0 for s in game.seats] == list(expected)
        assert {s for s in game.seats if s.model == past.model} <= {past}
        assert len(check_game(game).decisions.plies)  # both searches give a policy to learn
    again = list(play_games(wanted, SETTINGS, host, model=model, opponent=model))
    assert {game.moves for game in again} == {game.moves for game in games}
    alone = list(play_games(wanted, SETTINGS, host, model=model))  # it could not be fetched
    assert not any(rivals(alone).values())


def test_only_decisions_of_a_search_with_a_policy_are_learned_from() -> None:
    stranger = seat("minimax", simulations=32)
    model = Model(lambda *_: pytest.fail("not asked"), nnue=random_nnue_policy("hex8_2p"))
    fields = {"model": DIGEST, "opponents": (stranger,), "opponent_share": 1.0}
    for game in play_games(
        ticket("hex8_2p", 4, **fields), SETTINGS, Host(node="n", threads=1), model=model
    ):
        (there,) = rivals([game])[game.game]
        assert game.seats[there] == stranger
        position, decided = Position.start(Config.parse("hex8_2p")), set()
        plies = {decision.ply for decision in targets.decode(game.targets)[1]}
        for ply, token in enumerate(game.moves.split()):
            decided |= {position.seat - 1} if ply in plies else set()
            position.play(token)
        assert decided == {1 - there}


def test_the_opponents_of_a_plan_take_turns_by_ticket() -> None:
    some = tuple(seat("minimax", simulations=8 * n) for n in (1, 2, 3))
    wanted = plan("hex8_2p", 240, games_per_ticket=8, opponents=some, opponent_share=0.5)
    found = [opponent_of(item) for item in tickets_of(wanted, "EVENTS/7")]
    assert {one.simulations for one in found if one} == {8, 16, 24}
