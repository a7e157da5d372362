"""Where the time of play goes: the network by itself at several batch sizes, and self-play taken
apart.

Networks have fresh weights: speed does not depend on what they have learned, though the games'
length does. A game of self-play is played as a ticket is, by the same functions; the player and its
evaluator are wrapped in clocks. On a CPU one thread plays, as one process of `ringrift up` does on
each core, and clocks count what the thread itself computed: what is left of the time it waited for
a core. On a GPU all cores search, and the network's time is from the call to its answer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ringrift.events.participants import seat
from ringrift.events.settings import Settings
from ringrift.learning.play import Start, game_fact, play_out, player_of
from ringrift.nets.architectures import build
from ringrift.nets.batch import Batcher
from ringrift.nets.evaluator import CHUNK_CPU, CHUNK_GPU, Evaluator
from ringrift.rules import Config
from ringrift.search.gumbel import Floats
from ringrift.search.harness import Model
from ringrift.search.players import Codes, Decision, Evaluate, Player, Seeds, States
from ringrift.search.splitmix import seed_of
from ringrift.tools.bench_search import positions
from ringrift.tools.measured import Measured, measured

SETTINGS: Final = Settings()
ARCHITECTURE: Final = SETTINGS.training.architecture
BATCHES: Final = (1, 16, 128, 1024)
NETWORK_CONFIGS: Final = ("square8_2p",)
NETWORK_RUN_SECONDS: Final = 0.3
SELFPLAY_CONFIGS: Final = ("hex8_2p",)
SIMULATIONS: Final = 64
GAMES_CPU, GAMES_GPU = 16, 256
"""of one run, all at once: on one core 16 games take some 20 seconds; fewer leave the network with
batches no ticket has"""
RUNS_MAX: Final = 2
NO_MODEL: Final = "0" * 64
"""stands for a network that is in no store"""


def devices() -> list[str]:
    """The CPU, and a GPU where there is one."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def bench_networks(configs: Sequence[str] = NETWORK_CONFIGS, *, runs: int) -> Iterator[Measured]:
    """Evaluations a second, encoding included, by batch size, and how many times those at batch
    1."""
    for key in configs:
        config = Config.parse(key)
        for device in devices():
            network = build(ARCHITECTURE, hex_board=config.shape.hex)
            evaluator = Evaluator(config, network, device=device)
            prefix = f"search/{key}/network/{ARCHITECTURE}/{device}"
            single: list[float] = []
            for size in BATCHES:
                inputs = _batch(config, size)
                rates = [_rate(evaluator, inputs) for _ in range(runs + 1)][
                    1:
                ]  # the first run warms up
                single = single or rates
                yield measured(f"{prefix}/batch-{size}", "evaluations/s", rates)
                if size > 1:
                    ratios = [rate / one for rate, one in zip(rates, single, strict=True)]
                    yield measured(f"{prefix}/batch-{size}:batch-1", "x", ratios)


def _batch(config: Config, size: int) -> tuple[States, Codes, Codes]:
    """So many positions of random games, repeated as often as it takes, with their legal moves."""
    states, lists = positions(config)
    chosen = np.arange(size) % len(states)
    offsets = np.zeros(size + 1, np.int64)
    np.cumsum([len(lists[i]) for i in chosen], out=offsets[1:])
    return states[chosen], np.concatenate([lists[i] for i in chosen]), offsets


def _rate(evaluator: Evaluator, inputs: tuple[States, Codes, Codes]) -> float:
    done, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < NETWORK_RUN_SECONDS or not done:
        evaluator.evaluate(*inputs)
        done += len(inputs[0])
    return done / spent


@dataclass(slots=True)
class Span:
    """A length of time: on the wall, and what the calling thread computed in it; seconds."""

    wall: float = 0.0
    thread: float = 0.0

    def __add__(self, other: Span) -> Span:
        return Span(self.wall + other.wall, self.thread + other.thread)

    def __sub__(self, other: Span) -> Span:
        return Span(self.wall - other.wall, self.thread - other.thread)

    @classmethod
    def now(cls) -> Span:
        """Both clocks."""
        return cls(time.perf_counter(), time.thread_time())


@dataclass(slots=True)
class Clocks:
    """Time in the player's calls. `choosing` holds `evaluating`, and `encoding` twice: by the
    evaluator, and once more for us."""

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


def timed(evaluator: Evaluator, clocks: Clocks) -> Evaluate:
    """`evaluator.evaluate` with its time taken; encoding is timed by encoding everything once more
    beforehand."""
    batcher = Batcher(evaluator.geometry)
    chunk = CHUNK_CPU if evaluator.device.type == "cpu" else CHUNK_GPU

    def evaluate(states: States, codes: Codes, offsets: Codes) -> tuple[Floats, Floats]:
        began = Span.now()
        for first in range(0, len(states), chunk):
            part: NDArray[np.int64] = offsets[first : first + chunk + 1]
            batcher.encode(states[first : first + chunk], codes[part[0] : part[-1]], part - part[0])
        middle = Span.now()
        answer = evaluator.evaluate(states, codes, offsets)
        clocks.encoding += middle - began
        clocks.evaluating += Span.now() - middle
        return answer

    return evaluate


@dataclass(frozen=True, slots=True)
class Played:
    """One run of self-play: games and moves, the seconds it took, and the share of each kind of
    work in them; they add up to 1."""

    games: int
    moves: int
    seconds: float
    shares: dict[str, float]


def bench_selfplay(configs: Sequence[str] = SELFPLAY_CONFIGS, *, runs: int) -> Iterator[Measured]:
    """Games an hour at a budget of 64 and the shares of time, with the heuristic and with a network
    on each device."""
    for key in configs:
        config = Config.parse(key)
        base: list[float] = []
        for name, device in [
            ("heuristic", "cpu"),
            *((ARCHITECTURE, device) for device in devices()),
        ]:
            evaluator = None if name == "heuristic" else _evaluator(config, device)
            self_play(config, evaluator, games=2, simulations=2, seed=0)  # the first call compiles
            games = GAMES_CPU if device == "cpu" else GAMES_GPU
            played = [
                self_play(config, evaluator, games=games, simulations=SIMULATIONS, seed=run)
                for run in range(min(runs, RUNS_MAX))
            ]
            rates = [3600 * run.games / run.seconds for run in played]
            prefix = f"selfplay/{key}/{name}/{device}"
            yield measured(f"{prefix}/games", "games/h", rates)
            yield measured(
                f"{prefix}/moves", "moves/s", [run.moves / run.seconds for run in played]
            )
            base = base or rates
            if evaluator is not None:
                ratios = [rate / other for rate, other in zip(rates, base, strict=True)]
                yield measured(f"{prefix}/games:heuristic", "x", ratios)
            for part in played[0].shares:
                yield measured(
                    f"{prefix}/share/{part}", "of time", [run.shares[part] for run in played]
                )


def _evaluator(config: Config, device: str) -> Evaluator:
    return Evaluator(config, build(ARCHITECTURE, hex_board=config.shape.hex), device=device)


def self_play(
    config: Config, evaluator: Evaluator | None, *, games: int, simulations: int, seed: int
) -> Played:
    """Play `games` at once to their end, as a ticket of self-play."""
    gpu = evaluator is not None and evaluator.device.type != "cpu"
    threads = len(os.sched_getaffinity(0)) if gpu else 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _self_play(config, evaluator, games, simulations, seed, threads)
    finally:
        torch.set_num_threads(before)


def _self_play(
    config: Config,
    evaluator: Evaluator | None,
    games: int,
    simulations: int,
    seed: int,
    threads: int,
) -> Played:
    clocks, settings = Clocks(), SETTINGS.selfplay
    sits = seat(
        "gumbel",
        model=NO_MODEL if evaluator else None,
        simulations=simulations,
        considered=settings.considered,
        noise_plies=settings.temperature_plies,
    )
    player = TimedPlayer(
        player_of(config, sits, Model(timed(evaluator, clocks)) if evaluator else None, threads),
        clocks,
    )
    starts = [
        Start(game=f"bench-{i}", players=(0,) * config.seats, seed=seed_of(seed, i))
        for i in range(games)
    ]
    seats, moves, began = (sits,) * config.seats, 0, Span.now()
    for finished in play_out(config, [player], starts, batch=games):
        fact = game_fact(
            config,
            finished,
            seats,
            origin="selfplay",
            ticket="bench",
            pie=False,
            node="bench",
            version=0,
        )
        moves += fact.plies
    total = Span.now() - began - clocks.encoding  # what we encoded a second time is no part of play
    shares = _shares(total, clocks, one_thread=threads == 1)
    return Played(games, moves, total.wall, shares)


def _shares(total: Span, clocks: Clocks, *, one_thread: bool) -> dict[str, float]:
    """The shares of time; `total` without our own encoding, which `choosing` still holds."""
    search = clocks.choosing - clocks.evaluating - clocks.encoding
    network = clocks.evaluating - clocks.encoding
    games = total - (clocks.choosing - clocks.encoding)
    seconds = {
        "rules-and-search": search.thread if one_thread else search.wall,
        "moves-and-facts": games.thread,
        "encoding": clocks.encoding.thread,
        "network": network.thread if one_thread else network.wall,
    }
    waiting = total.wall - sum(seconds.values())
    return {name: spent / total.wall for name, spent in {**seconds, "waiting": waiting}.items()}
