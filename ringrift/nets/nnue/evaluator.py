"""Evaluation of positions by an NNUE, in integers on the CPU."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.nets.nnue import inference as kernels
from ringrift.nets.nnue.batch import NnueBatcher
from ringrift.nets.nnue.checkpoint import NnueCheckpoint
from ringrift.nets.nnue.network import Nnue, quantise
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry

CHUNK: Final = 256
"""Positions per call: their accumulators for two seats are a quarter of a megabyte and stay in the
cache."""


class NnueEvaluator:
    """Evaluates positions of one config with one NNUE. Not thread-safe, but several threads may use
    `network`, the weights for `ringrift.nets.nnue.inference`."""

    def __init__(self, config: Config, network: Nnue) -> None:
        self.config, self.geometry = config, geometry(config)
        self.network, self._policy = quantise(network)
        self.has_policy = network.shape.policy > 0
        self._batcher = NnueBatcher(config, policy=self.has_policy)
        self._accumulators = kernels.new_accumulators(self.geometry, self.network, CHUNK)
        self._queries = np.zeros((CHUNK, self._policy.query_bias.size + 1), np.float32)

    @classmethod
    def load(
        cls, data: bytes, *, digest: str | None = None, config: Config | None = None
    ) -> "NnueEvaluator":
        """Return an evaluator for the NNUE in the bytes of a checkpoint. Raises CheckpointError."""
        checkpoint = NnueCheckpoint.parse(data, digest=digest, config=config)
        return cls(checkpoint.header.config, checkpoint.network())

    def evaluate(
        self, states: NDArray[np.int32], codes: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits `[M]`, all 0 without a policy, and values `[B, n]` by absolute seat, as
        `ringrift.nets.evaluator.Evaluator.evaluate` does."""
        logits = np.zeros(len(codes), np.float32)
        values = np.zeros((len(states), self.config.seats), np.float32)
        for first in range(0, len(states), CHUNK):
            last = min(first + CHUNK, len(states))
            some, moves = (
                np.ascontiguousarray(states[first:last]),
                slice(offsets[first], offsets[last]),
            )
            kernels.evaluate_batch(
                self.geometry, self.network, self._accumulators, some, values[first:last]
            )
            if self.has_policy:
                self._score(
                    some, codes[moves], offsets[first : last + 1] - offsets[first], logits[moves]
                )
        return logits, values

    def _score(
        self,
        states: NDArray[np.int32],
        codes: NDArray[np.int64],
        offsets: NDArray[np.int64],
        logits: NDArray[np.float32],
    ) -> None:
        """Write the logits of the moves of `states`, whose accumulators are up to date."""
        kernels.queries(
            self.geometry, self.network, self._policy, self._accumulators, states, self._queries
        )
        bags = self._batcher.bags(states, codes, offsets)
        kernels.score_moves(self._policy, self._queries, logits, *(part.numpy() for part in bags))
