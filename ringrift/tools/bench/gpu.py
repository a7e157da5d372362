"""Everything about a GPU in one command; without one, the same in small on the CPU, so that it is
known to work. At most eight minutes are the aim; no GPU has measured it yet.

Evaluations a second by batch and precision, the largest difference to the CPU in float32, self-play
in wide lockstep with the share of time that the network takes, samples a second of training, and
the memory that all this took. Networks have fresh weights."""

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
import torch

from ringrift.errors import CommandError
from ringrift.events.facts import GameCompleted
from ringrift.learning.play import Host, play_games
from ringrift.nets.architectures import build
from ringrift.nets.evaluator import Evaluator
from ringrift.rules.config import Config
from ringrift.tools.bench import loop, selfplay
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope
from ringrift.tools.bench.search import ARCHITECTURE, Batch, batch_of, devices, evaluations

CONFIGS = ("square8_2p",)
PRECISIONS = {"float32": 1e-3, "bfloat16": 0.1}
"""largest difference of a logit or value to the CPU in float32; bfloat16 has 8 significant bits,
and logits of fresh networks are about 1"""
SECONDS_MAX = 3.0
"""of a run"""
GIBIBYTE = 1024.0**3


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Batches of evaluations; games at once and simulations of a decision of self-play."""

    batches: tuple[int, ...]
    games: int
    simulations: int


LARGE = Sizes(batches=(1, 64, 512, 2048, 4096), games=2048, simulations=32)
SMALL = Sizes(batches=(1, 16), games=4, simulations=4)


async def benchmarks(scope: Scope, sizes: Sizes | None = None) -> Benchmarks:
    """All measurements of each config on the GPU, else on the CPU."""
    device = devices()[-1]
    sizes = sizes or (LARGE if device == "cuda" else SMALL)
    seconds = min(scope.seconds, SECONDS_MAX)
    for key in scope.configs or CONFIGS:
        config, name = Config.parse(key), f"gpu/{key}/{device}"
        largest = batch_of(config, sizes.batches[-1])
        exact = _network(config, "cpu", half=False).evaluate(*largest)
        for precision, tolerance in PRECISIONS.items():
            network = _network(config, device, half=precision == "bfloat16")
            for size in sizes.batches:
                batch = batch_of(config, size)
                run = partial(evaluations, network, batch, seconds)
                what = f"{name}/{precision}/batch-{size}"
                yield Benchmark(what, "evaluations/s", run, warm_up=True, runs_max=2)
            run = partial(_difference, network, largest, exact, tolerance)
            yield Benchmark(f"{name}/{precision}/difference", "at most", run, runs_max=1)
        network = _network(config, device, half=device != "cpu")
        selfplay.play(config, network, 2, 2, count())  # the first call compiles
        played = partial(selfplay.play, config, network, sizes.games, sizes.simulations, count())
        yield Benchmark(f"{name}/selfplay", selfplay.UNITS, played, runs_max=1)
        trainer = loop.trainer_of(loop.window_of(config, list(_games(config))), device)
        run = partial(loop.train, trainer, seconds)
        yield Benchmark(f"{name}/training", "samples/s", run, runs_max=2)
        yield Benchmark(f"{name}/memory", "GiB", partial(_memory, device), runs_max=1)


def _network(config: Config, device: str, *, half: bool) -> Evaluator:
    tower = build(ARCHITECTURE, hex_board=config.shape.hex)
    return Evaluator(config, tower, device=device, half=half)


def _difference(
    network: Evaluator, batch: Batch, exact: tuple[np.ndarray, np.ndarray], tolerance: float
) -> float:
    """The largest difference of an output. Raises CommandError above the tolerance."""
    pairs = zip(network.evaluate(*batch), exact, strict=True)
    found = max(float(np.abs(one - other).max()) for one, other in pairs)
    if found > tolerance:
        raise CommandError(f"outputs on {network.device} differ by {found:.2g} from the CPU")
    return found


def _games(config: Config) -> Iterator[GameCompleted]:
    """A few games of the heuristic's search, to train on."""
    ticket = loop.ticket_of(config, loop.GAMES_MIN, 1, network=False)
    return play_games(ticket, loop.SETTINGS.selfplay, Host(node="bench"))


def _memory(device: str) -> float:
    """Most memory so far: of the GPU, or of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / GIBIBYTE
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIBIBYTE
