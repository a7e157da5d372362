"""Evaluation of positions by a tower: states and legal moves in, logits and values out."""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch

from ringrift.nets.architectures import Tower
from ringrift.nets.arrays import Codes, Floats, Int64s, States
from ringrift.nets.batch import Batcher, to_device
from ringrift.nets.header import CheckpointError
from ringrift.rules import Config, geometry
from ringrift.rules.layout import TURN

CHUNK_CPU: Final = 128
"""Positions per call: 512 exceed the cache and are a third slower (v2-micro, 2 cores)."""
CHUNK_GPU: Final = 4096


class Evaluator:
    """Evaluates positions of one config with one network. Not thread-safe."""

    def __init__(
        self,
        config: Config,
        network: Tower,
        *,
        device: str | torch.device = "cpu",
        half: bool | None = None,
    ) -> None:
        """Move `network` to `device` and freeze it. With `half`, by default on a GPU, its
        trunk runs in bfloat16."""
        self.config = config
        self.geometry = geometry(config)
        self.device = torch.device(device)
        gpu = self.device.type != "cpu"
        self._half = gpu if half is None else half
        self._chunk = CHUNK_GPU if gpu else CHUNK_CPU
        self._batcher = Batcher(self.geometry, features=network.shape.features > 0)
        self._network = network.to(self.device).eval().requires_grad_(False)

    def evaluate(self, states: States, codes: Codes, offsets: Int64s) -> tuple[Floats, Floats]:
        """Return logits `[M]` in the order of `codes` and values `[B, seats]` in -1..1 by absolute
        seat (column 0 is seat 1).

        `states[B, S]` are games that are not over, with legal moves `codes[offsets[i]:offsets[i +
        1]]` (`codes[M]`, `offsets[B + 1]`). If GPU memory is exhausted, batches are halved from
        then on; raises torch.cuda.OutOfMemoryError if one position alone is too large, and
        CheckpointError if an output is not finite."""
        logits = np.empty(len(codes), np.float32)
        values = np.empty((len(states), self.config.seats), np.float32)

        def evaluate(first: int, last: int) -> None:
            some, moves = slice(first, last), slice(offsets[first], offsets[last])
            starts = offsets[first : last + 1] - offsets[first]
            logits[moves], values[some] = self._evaluate(states[some], codes[moves], starts)

        self._chunk = in_chunks(len(states), self._chunk, evaluate)
        return logits, values

    def _evaluate(self, states: States, codes: Codes, offsets: Int64s) -> tuple[Floats, Floats]:
        batch = to_device(self._batcher.encode(states, codes, offsets), self.device)
        precision = torch.autocast(self.device.type, torch.bfloat16, enabled=self._half)
        with torch.inference_mode(), precision:
            logits, relative = self._network(*batch)
        mover = states[:, TURN, None] - 1
        # Seat s (from 0) is relative seat (s - mover) modulo the number of seats.
        columns = (np.arange(self.config.seats)[None] - mover) % self.config.seats
        found = logits.cpu().numpy(), relative.cpu().numpy()
        if not all(np.isfinite(part).all() for part in found):
            raise CheckpointError("the outputs of the network are not finite; train it again")
        return found[0], np.take_along_axis(found[1], columns, axis=1)


def in_chunks(count: int, size: int, work: Callable[[int, int], None]) -> int:
    """Call `work(first, last)` for consecutive parts of `count` items, at most `size` at once;
    return the size that fitted.

    If GPU memory is exhausted, the size is halved. Raises torch.cuda.OutOfMemoryError if one item
    alone is too large."""
    first = 0
    while first < count:
        last = min(first + size, count)
        try:
            work(first, last)
            first = last
            continue
        except torch.cuda.OutOfMemoryError:
            if last - first == 1:
                raise
        # Outside of the handler, which keeps the tensors of the failed attempt alive.
        size = (last - first) // 2
        torch.cuda.empty_cache()
    return size
