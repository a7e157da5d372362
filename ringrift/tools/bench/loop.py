"""Speed of the loop: self-play as tickets are played, the network alone, and training; with
`--seconds 60` or more, how much of the machine a whole loop uses instead (`whole`).

Self-play with the handcrafted heuristic at the leaves comes first; its games provide the positions
and samples of the rest. Networks have fresh weights: speed does not depend on what they have
learned, though the length of games does."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch

from ringrift.events.facts import GameCompleted, SelfplayPlanned
from ringrift.events.settings import Settings
from ringrift.events.tickets import SelfplayTicket
from ringrift.learning.families import TowerTrainer
from ringrift.learning.play import Host, play_games
from ringrift.learning.shards import build_shard, read_shard
from ringrift.learning.training import REPORT_STEPS, Trainer
from ringrift.learning.window import Window, open_window
from ringrift.nets.batch import Batcher
from ringrift.nets.evaluator import CHUNK_CPU, CHUNK_GPU
from ringrift.rules import Config
from ringrift.rules.geometry import geometry
from ringrift.search.harness import Model
from ringrift.search.players import Evaluate
from ringrift.tools.bench import whole
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope
from ringrift.tools.bench.search import ARCHITECTURE, NO_MODEL, Batch, devices, fresh_network

CONFIGS = ("hex8_2p",)
SETTINGS = Settings()
GAMES_CALIBRATION = 2
GAMES_MIN, GAMES_MAX = 16, SETTINGS.selfplay.games_per_ticket
"""Games of a run. Fewer at once leave the network with batches so small that the number says
nothing about real tickets."""
SECONDS_MAX = 5.0
"""of a run of a part of the loop"""
STEPS_UNLIMITED = 1_000_000_000


async def benchmarks(scope: Scope) -> Benchmarks:
    """All measurements of each config; a run lasts about `scope.seconds`, at most `SECONDS_MAX`, of
    self-play until its games end. Whole loops if a run lasts a minute or more."""
    configs = scope.configs or CONFIGS
    if scope.data:
        yield whole.of_logs(configs, scope.data, scope.minutes)
        return
    if scope.seconds >= whole.SECONDS_MIN:
        yield whole.benchmark(configs, scope.seconds, scope.minutes)
        return
    seconds, device = min(scope.seconds, SECONDS_MAX), devices()[-1]
    for key in configs:
        config = Config.parse(key)
        network = fresh_network(config, device)
        games: list[GameCompleted] = []
        for player, evaluate in (("heuristic", None), (ARCHITECTURE, network.evaluate)):
            selfplay = _Selfplay(config, evaluate, games)
            selfplay.calibrate(seconds)
            units = {"games": "games/s", "moves": "moves/s"}
            yield Benchmark(f"loop/{key}/selfplay/{player}", units, selfplay.run)

        window = window_of(config, games)
        chunk = CHUNK_CPU if device == "cpu" else CHUNK_GPU
        batches = _batches(window, min(len(window), chunk))
        encode = Batcher(geometry(config)).encode
        run = partial(_rate, encode, batches, seconds)
        yield Benchmark(f"loop/{key}/encoder", "positions/s/core", run, warm_up=True)
        run = partial(_rate, network.evaluate, batches, seconds)
        name = f"loop/{key}/network/{ARCHITECTURE}/{device}"
        yield Benchmark(name, "positions/s", run, warm_up=True)

        trainer = trainer_of(window, device)
        name = f"loop/{key}/training/{ARCHITECTURE}/{device}"
        yield Benchmark(name, "samples/s", partial(train, trainer, seconds))


@dataclass
class _Selfplay:
    """Whole tickets of self-play on all cores; the games played are added to `games`."""

    config: Config
    evaluate: Evaluate | None
    games: list[GameCompleted]
    seeds: Iterator[int] = field(default_factory=count)
    size: int = GAMES_CALIBRATION

    def calibrate(self, seconds: float) -> None:
        """Set the number of games of a run, so that it lasts about `seconds`."""
        self._play()  # the first call compiles
        began = time.perf_counter()
        self._play()
        games = GAMES_CALIBRATION * seconds / (time.perf_counter() - began)
        self.size = int(min(GAMES_MAX, max(GAMES_MIN, games)))

    def run(self) -> dict[str, float]:
        """Games and moves per second of one ticket."""
        began = time.perf_counter()
        played = self._play()
        seconds = time.perf_counter() - began
        self.games += played
        plies = sum(game.plies for game in played)
        return {"games": len(played) / seconds, "moves": plies / seconds}

    def _play(self) -> list[GameCompleted]:
        ticket = ticket_of(self.config, self.size, next(self.seeds), self.evaluate is not None)
        model = Model(self.evaluate) if self.evaluate else None
        return list(play_games(ticket, SETTINGS.selfplay, Host(node="bench"), model=model))


def ticket_of(config: Config, games: int, seed: int, network: bool) -> SelfplayTicket:
    """A ticket of self-play, with a network or the heuristic."""
    plan = SelfplayPlanned(
        config=config.key,
        generation=0,
        games=games,
        games_per_ticket=games,
        simulations=SETTINGS.selfplay.simulations,
        model=NO_MODEL if network else None,
        seed=seed,
        settings_version=0,
    )
    return SelfplayTicket(
        ticket=f"bench-{seed}", cause="EVENTS/1", plan=plan, first_game=0, games=games
    )


def window_of(config: Config, games: Sequence[GameCompleted]) -> Window:
    """The samples of games."""
    data, _ = build_shard(config, games)
    return open_window([read_shard(data)], SETTINGS.training.window_samples)


def _batches(window: Window, size: int) -> list[Batch]:
    """States, moves and offsets of neighbouring samples, `size` in each batch."""
    return [
        window.positions(np.arange(first, first + size))[:3]
        for first in range(0, len(window) - size + 1, size)
    ]


def _rate(work: Callable[..., Any], batches: Sequence[Batch], seconds: float) -> float:
    """Positions per second through `work`."""
    done, number, began = 0, 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds or not done:
        batch = batches[number % len(batches)]
        work(*batch)
        done, number = done + len(batch[0]), number + 1
    return done / spent


def trainer_of(window: Window, device: str) -> Trainer:
    """A trainer after its first steps, which compile."""
    trainer = TowerTrainer(
        window, SETTINGS.training, seed=1, steps=STEPS_UNLIMITED, device=torch.device(device)
    )
    trainer.run(stop=lambda: trainer.step >= REPORT_STEPS)
    return trainer


def train(trainer: Trainer, seconds: float) -> float:
    """Samples per second of gradient steps, without validation and checkpoints."""
    before, began = trainer.step, time.perf_counter()
    trainer.run(stop=lambda: trainer.step > before and time.perf_counter() >= began + seconds)
    steps = trainer.step - before
    return steps * SETTINGS.training.batch / (time.perf_counter() - began)
