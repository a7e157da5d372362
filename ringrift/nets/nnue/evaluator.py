"""Evaluation of positions by an NNUE, in integers on the CPU."""

from typing import Final

import numpy as np

from ringrift.nets.arrays import Codes, Floats, Int64s, States
from ringrift.nets.bags import Bags
from ringrift.nets.nnue import inference as kernels
from ringrift.nets.nnue.batch import NnueBatcher
from ringrift.nets.nnue.network import Nnue, quantise
from ringrift.rules import Config, geometry

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

    def evaluate(self, states: States, codes: Codes, offsets: Int64s) -> tuple[Floats, Floats]:
        """Return logits `[M]`, all 0 without a policy, and values `[B, n]` by absolute seat, as
        `ringrift.nets.evaluator.Evaluator.evaluate` does."""
        logits = np.zeros(len(codes), np.float32)
        values = np.zeros((len(states), self.config.seats), np.float32)
        net = self.geometry, self.network
        for first in range(0, len(states), CHUNK):
            last = min(first + CHUNK, len(states))
            some = np.ascontiguousarray(states[first:last])
            kernels.evaluate_batch(*net, self._accumulators, some, values[first:last])
            if self.has_policy:
                moves = slice(offsets[first], offsets[last])
                starts = offsets[first : last + 1] - offsets[first]
                plain = np.zeros(len(some), np.int16)
                bags = self._batcher.bags(some, codes[moves], starts, plain)
                kernels.queries(*net, self._policy, self._accumulators, some, self._queries)
                arrays = Bags(*(part.numpy() for part in bags))
                kernels.score_moves(self._policy, self._queries, arrays, logits[moves])
        return logits, values
