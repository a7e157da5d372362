"""Self-play taken apart: games per hour, and the share of each kind of work in their time.

A game is played as a ticket of self-play is, by the same functions; the player and its evaluator
are wrapped in clocks. On the CPU one thread plays, as one process of `ringrift up` does on each
core, and the clocks count what the thread itself computed: the rest of the time it waited for a
core. On a GPU all cores search, and the time of the network is that from the call to its answer.

Networks have fresh weights: speed does not depend on what they have learned, though the length of
games does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import torch

from ringrift.events.facts import Seat
from ringrift.events.participants import network_seat, seat
from ringrift.events.settings import Settings
from ringrift.learning.models import model_of
from ringrift.learning.play import Host, Start, game_fact, play_out, player_of
from ringrift.nets.batch import Batcher
from ringrift.nets.evaluator import CHUNK_CPU, CHUNK_GPU, Evaluator
from ringrift.nets.header import digest_of
from ringrift.nets.nnue.network import NnueCheckpoint, build
from ringrift.rules import Config
from ringrift.search.arrays import Codes, Floats, Seeds, States
from ringrift.search.harness import Model, kind_of
from ringrift.search.players import Decision, Evaluate, Player
from ringrift.search.splitmix import seed_of
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Ratio, Scope
from ringrift.tools.bench.search import ARCHITECTURE, NO_MODEL, devices, fresh_network

SETTINGS = Settings().selfplay
CONFIGS = ("hex8_2p",)
NNUE = "nnue_policy"
RUNS_MAX = 2
SMALL_CELLS = 100  # games on larger boards take twenty times as long
PARTS = ("rules-and-search", "moves-and-facts", "encoding", "network", "waiting")
UNITS = {"games": "games/h", "games-a-core": "games/h of CPU", "moves": "moves/s"} | {
    f"share/{part}": "of time" for part in PARTS
}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Simulations of a move, and games of one run, all at once.

    On one core 16 games take about 20 seconds; fewer leave the network with batches that no ticket
    has."""

    simulations: int = 64
    games_cpu: int = 16
    games_nnue: int = 128
    games_gpu: int = 256


async def benchmarks(scope: Scope, sizes: Sizes = Sizes()) -> Benchmarks:
    """Self-play with the heuristic, with an NNUE inside compiled code, and with a network on each
    device."""
    for key in scope.configs or CONFIGS:
        config = Config.parse(key)
        nnue = fresh_nnue(config)
        play(config, nnue, 2, 2, count())
        games = sizes.games_nnue if len(config.shape.cells) <= SMALL_CELLS else sizes.games_cpu
        run = partial(play, config, nnue, games, sizes.simulations, count())
        yield Benchmark(f"selfplay/{key}/{NNUE}/cpu", UNITS, run, runs_max=RUNS_MAX)
        for player, device in (("heuristic", "cpu"), *((ARCHITECTURE, each) for each in devices())):
            network = None if player == "heuristic" else fresh_network(config, device)
            games = sizes.games_cpu if device == "cpu" else sizes.games_gpu
            play(config, network, 2, 2, count())  # the first call compiles
            run = partial(play, config, network, games, sizes.simulations, count())
            name = f"selfplay/{key}/{player}/{device}"
            yield Benchmark(name, UNITS, run, runs_max=RUNS_MAX)
            if network is not None:
                yield Ratio(f"{name}/games", f"selfplay/{key}/heuristic/cpu/games")


@dataclass(slots=True)
class Span:
    """A length of time in seconds: on the wall, and computed in it by the calling thread."""

    wall: float = 0.0
    thread: float = 0.0

    def __add__(self, other: Span) -> Span:
        return Span(self.wall + other.wall, self.thread + other.thread)

    def __sub__(self, other: Span) -> Span:
        return Span(self.wall - other.wall, self.thread - other.thread)

    @classmethod
    def now(cls) -> Span:
        """The reading of both clocks."""
        return cls(time.perf_counter(), time.thread_time())


@dataclass(slots=True)
class Clocks:
    """Time in the player's calls. `choosing` contains `evaluating`, and `encoding` twice: once by
    the evaluator, once by `timed`."""

    choosing: Span = field(default_factory=Span)
    evaluating: Span = field(default_factory=Span)
    encoding: Span = field(default_factory=Span)


class TimedPlayer:
    """A player whose `choose` is timed."""

    def __init__(self, player: Player, clocks: Clocks) -> None:
        self._player, self._clocks = player, clocks

    @property
    def searches(self) -> bool:
        """See `Player.searches`."""
        return self._player.searches

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """See `Player.choose`."""
        began = Span.now()
        decisions = self._player.choose(states, seeds)
        self._clocks.choosing += Span.now() - began
        return decisions


def timed(network: Evaluator, clocks: Clocks) -> Evaluate:
    """`network.evaluate` under a clock. Everything is encoded once more beforehand, which gives the
    time of encoding."""
    batcher = Batcher(network.geometry)
    chunk = CHUNK_CPU if network.device.type == "cpu" else CHUNK_GPU

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        began = Span.now()
        for first in range(0, len(states), chunk):
            part: Codes = offsets[first : first + chunk + 1]
            batcher.encode(states[first : first + chunk], codes[part[0] : part[-1]], part - part[0])
        middle = Span.now()
        answer = network.evaluate(states, codes, offsets)
        clocks.encoding += middle - began
        clocks.evaluating += Span.now() - middle
        return answer

    return evaluate


def fresh_nnue(config: Config) -> Model:
    """An NNUE with fresh weights, which plays without its callback."""
    data = NnueCheckpoint.save(build(NNUE, config), architecture=NNUE, config=config)
    return model_of(data, digest=digest_of(data), config=config.key)


def play(
    config: Config,
    network: Evaluator | Model | None,
    games: int,
    simulations: int,
    seeds: Iterator[int],
) -> dict[str, float]:
    """Play `games` at once to their end, as a ticket of self-play; the figures of `UNITS`."""
    gpu = isinstance(network, Evaluator) and network.device.type != "cpu"
    threads = len(os.sched_getaffinity(0)) if gpu else 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        clocks = Clocks()
        moves, total = _played(config, network, games, simulations, next(seeds), threads, clocks)
    finally:
        torch.set_num_threads(before)
    shares = _shares(total, clocks, one_thread=threads == 1)
    figures = {"games": 3600 * games / total.wall, "moves": moves / total.wall}
    figures["games-a-core"] = 3600 * games / total.thread
    return figures | {f"share/{part}": share for part, share in shares.items()}


def _played(
    config: Config,
    network: Evaluator | Model | None,
    games: int,
    simulations: int,
    seed: int,
    threads: int,
    clocks: Clocks,
) -> tuple[int, Span]:
    """The number of moves of the games, and the time they took."""
    model = Model(timed(network, clocks)) if isinstance(network, Evaluator) else network
    seated = _seat(config, model, simulations)
    player = TimedPlayer(player_of(config, seated, model, threads), clocks)
    everyone, host = (0,) * config.seats, Host(node="bench")
    starts = [
        Start(game=f"bench-{i}", players=everyone, seed=seed_of(seed, i)) for i in range(games)
    ]
    moves, began = 0, Span.now()
    for finished in play_out(config, [player], starts, host, batch=games):
        fact = game_fact(finished, [seated], host, origin="selfplay", ticket="bench", version=0)
        moves += fact.plies
    # the second encoding by `timed` is no part of play
    return moves, Span.now() - began - clocks.encoding


def _seat(config: Config, model: Model | None, simulations: int) -> Seat:
    options = {"considered": SETTINGS.considered, "noise_plies": SETTINGS.noise_plies}
    if model is None:
        options |= {"simulations": simulations}
        return seat("gumbel", model=None, evaluator=None, **options)
    return network_seat(NO_MODEL, simulations, kind=kind_of(model), seats=config.seats, **options)


def _shares(total: Span, clocks: Clocks, *, one_thread: bool) -> dict[str, float]:
    """The shares of time by part, which add up to 1; `total` is without the second encoding, which
    `choosing` still contains."""
    search = clocks.choosing - clocks.evaluating - clocks.encoding
    network = clocks.evaluating - clocks.encoding
    games = total - (clocks.choosing - clocks.encoding)
    seconds = {
        "rules-and-search": search.thread if one_thread else search.wall,
        "moves-and-facts": games.thread,
        "encoding": clocks.encoding.thread,
        "network": network.thread if one_thread else network.wall,
    }
    seconds["waiting"] = total.wall - sum(seconds.values())
    return {part: spent / total.wall for part, spent in seconds.items()}
