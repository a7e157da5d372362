"""A network at work: states and legal moves in, logits and values out."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ringrift.nets.architectures import Tower
from ringrift.nets.batch import Batcher
from ringrift.nets.checkpoint import Checkpoint
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry
from ringrift.rules.layout import TURN

CHUNK_CPU: Final = 128  # positions at once: a batch of 512 spills out of the cache and is a third slower (v2-micro, 2 cores)
CHUNK_GPU: Final = 4096


class Evaluator:
    """Evaluates positions of one config with one network. Not safe for use by several threads at
    once."""

    def __init__(
        self, config: Config, network: Tower, *, device: str | torch.device = "cpu"
    ) -> None:
        """Takes the network over: moves it to `device` and freezes it. On a GPU the trunk runs in
        bfloat16."""
        self.config = config
        self.geometry = geometry(config)
        self.device = torch.device(device)
        self._half = self.device.type != "cpu"
        self._chunk = CHUNK_GPU if self._half else CHUNK_CPU
        self._batcher = Batcher(self.geometry, features=network.shape.features > 0)
        self._network = network.to(self.device).eval().requires_grad_(False)

    @classmethod
    def load(cls, data: bytes, *, device: str | torch.device = "cpu") -> "Evaluator":
        """From the bytes of a checkpoint. Raises CheckpointError."""
        checkpoint = Checkpoint.parse(data)
        return cls(checkpoint.header.config, checkpoint.network(), device=device)

    def evaluate(
        self, states: NDArray[np.int32], codes: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`states[B, S]`, none of them over, with legal moves `codes[offsets[i]:offsets[i + 1]]`
        (`codes[M]`, `offsets[B + 1]`) -> logits `[M]` in the order of `codes`, values `[B, seats]`
        by absolute seat (column 0 is seat 1), -1..1.

        Out of GPU memory it goes on with batches half as large, from then on. Raises
        torch.cuda.OutOfMemoryError where one position alone is too large."""
        count = len(states)
        logits = np.empty(len(codes), np.float32)
        values = np.empty((count, self.config.seats), np.float32)
        first = 0
        while first < count:
            last = min(first + self._chunk, count)
            moves = slice(offsets[first], offsets[last])
            try:
                logits[moves], values[first:last] = self._evaluate(
                    states[first:last], codes[moves], offsets[first : last + 1] - offsets[first]
                )
                first = last
                continue
            except torch.cuda.OutOfMemoryError:
                if last - first == 1:
                    raise
            # out of the handler, which holds on to the tensors of the attempt
            self._chunk = (last - first) // 2
            torch.cuda.empty_cache()
        return logits, values

    def _evaluate(
        self, states: NDArray[np.int32], codes: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        batch = self._batcher.encode(states, codes, offsets).to(self.device)
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self._half),
        ):
            logits, relative = self._network(*batch.arguments())
        mover = states[:, TURN, None] - 1
        # seat s (from 0) is relative seat (s - mover) modulo the number of seats
        columns = (np.arange(self.config.seats)[None] - mover) % self.config.seats
        return logits.cpu().numpy(), np.take_along_axis(relative.cpu().numpy(), columns, axis=1)
