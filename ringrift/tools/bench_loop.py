"""How fast the loop itself is on this machine: self-play as tickets are played, the network alone,
and training.

Self-play with the handcrafted heuristic at the leaves comes first; its games are the positions and
samples of what follows. Networks have fresh weights: speed does not depend on what they have
learned, though the games' length does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ringrift.events.facts import GameCompleted, SelfplayPlanned
from ringrift.events.settings import Settings
from ringrift.events.tickets import SelfplayTicket
from ringrift.learning.play import play_games
from ringrift.learning.shards import build_shard, read_shard
from ringrift.learning.training import REPORT_STEPS, Trainer
from ringrift.learning.window import Window, open_window
from ringrift.nets.architectures import build
from ringrift.nets.batch import Batcher
from ringrift.nets.evaluator import CHUNK_CPU, CHUNK_GPU, Evaluator
from ringrift.rules import Config
from ringrift.rules.geometry import geometry
from ringrift.search.harness import Model
from ringrift.search.players import Evaluate
from ringrift.tools.measured import Measured, measured

CONFIGS: Final = ("hex8_2p",)
SETTINGS: Final = Settings()
GAMES_CALIBRATION: Final = 2
GAMES_MIN, GAMES_MAX = 16, SETTINGS.selfplay.games_per_ticket
"""of a run: fewer games at once leave the network with batches so small that the number says
nothing about real tickets"""
NO_MODEL: Final = "0" * 64
"""stands for a network that is in no store"""


def bench_loop(
    configs: Sequence[str] = CONFIGS, *, runs: int, seconds: float
) -> Iterator[Measured]:
    """All measurements of each config, one after another; a run lasts about `seconds`, of self-play
    until its games end."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for key in configs:
        config = Config.parse(key)
        games: list[GameCompleted] = []
        yield from _selfplay(config, "heuristic", None, games, runs, seconds)
        network = build(SETTINGS.training.architecture, hex_board=config.shape.hex)
        evaluator = Evaluator(config, network, device=device)
        yield from _selfplay(
            config, SETTINGS.training.architecture, evaluator.evaluate, games, runs, seconds
        )
        window = _window(config, games)
        yield from _network(config, evaluator, window, device, runs, seconds)
        yield _training(config, window, device, runs, seconds)


def _selfplay(
    config: Config,
    name: str,
    evaluate: Evaluate | None,
    games: list[GameCompleted],
    runs: int,
    seconds: float,
) -> Iterator[Measured]:
    """Games and moves a second of whole tickets, all cores; what was played is added to `games`."""
    seeds = iter(range(runs + 2))

    def play(count: int) -> tuple[list[GameCompleted], float]:
        ticket, began = _ticket(config, count, next(seeds), evaluate), time.perf_counter()
        played = list(
            play_games(
                ticket, SETTINGS.selfplay, node="bench", model=Model(evaluate) if evaluate else None
            )
        )
        return played, time.perf_counter() - began

    play(GAMES_CALIBRATION)  # the first call compiles
    _, spent = play(GAMES_CALIBRATION)
    count = int(min(GAMES_MAX, max(GAMES_MIN, GAMES_CALIBRATION * seconds / spent)))
    game_rates, move_rates = [], []
    for _ in range(runs):
        played, spent = play(count)
        game_rates.append(len(played) / spent)
        move_rates.append(sum(game.plies for game in played) / spent)
        games += played
    prefix = f"loop/{config.key}/selfplay/{name}"
    yield measured(f"{prefix}/games", "games/s", game_rates)
    yield measured(f"{prefix}/moves", "moves/s", move_rates)


def _ticket(config: Config, games: int, seed: int, evaluate: Evaluate | None) -> SelfplayTicket:
    plan = SelfplayPlanned(
        config=config.key,
        generation=0,
        games=games,
        games_per_ticket=games,
        simulations=SETTINGS.selfplay.simulations,
        model=NO_MODEL if evaluate else None,
        seed=seed,
        settings_version=0,
    )
    return SelfplayTicket(
        ticket=f"bench-{seed}", cause="EVENTS/1", plan=plan, first_game=0, games=games
    )


def _window(config: Config, games: Sequence[GameCompleted]) -> Window:
    data, _ = build_shard(config, games)
    return open_window([read_shard(data)], SETTINGS.training.window_samples)


def _network(
    config: Config,
    evaluator: Evaluator,
    window: Window,
    device: torch.device,
    runs: int,
    seconds: float,
) -> Iterator[Measured]:
    """Positions a second through the encoder on one core, and through encoder and network
    together."""
    batcher = Batcher(geometry(config))
    size = min(len(window), CHUNK_CPU if device.type == "cpu" else CHUNK_GPU)
    batches = [_positions(window, first, size) for first in range(0, len(window) - size + 1, size)]

    def rate(work: Callable[..., object]) -> float:
        done, index, began = 0, 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds or not done:
            work(*batches[index % len(batches)])
            done, index = done + size, index + 1
        return done / spent

    rate(batcher.encode)  # the first call compiles
    yield measured(
        f"loop/{config.key}/encoder",
        "positions/s/core",
        [rate(batcher.encode) for _ in range(runs)],
    )
    rate(evaluator.evaluate)
    name = f"loop/{config.key}/network/{SETTINGS.training.architecture}/{device.type}"
    yield measured(name, "positions/s", [rate(evaluator.evaluate) for _ in range(runs)])


def _positions(
    window: Window, first: int, count: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """States, moves and offsets of samples that lie together."""
    offsets = window.offsets[first : first + count + 1]
    return (
        window.states[first : first + count],
        window.codes[offsets[0] : offsets[-1]],
        offsets - offsets[0],
    )


def _training(
    config: Config, window: Window, device: torch.device, runs: int, seconds: float
) -> Measured:
    """Samples a second of gradient steps, validation and checkpoints left out."""
    endless = 1_000_000_000
    trainer = Trainer(window, SETTINGS.training, seed=1, steps=endless, device=device)
    rates: list[float] = []

    def until(steps: int, deadline: float) -> Callable[[], bool]:
        return lambda: trainer.step >= steps and time.perf_counter() >= deadline

    trainer.run(stop=until(REPORT_STEPS, 0.0))
    for _ in range(runs):
        before, began = trainer.step, time.perf_counter()
        trainer.run(stop=until(before + 1, began + seconds))
        rates.append(
            (trainer.step - before) * SETTINGS.training.batch / (time.perf_counter() - began)
        )
    return measured(
        f"loop/{config.key}/training/{SETTINGS.training.architecture}/{device.type}",
        "samples/s",
        rates,
    )
