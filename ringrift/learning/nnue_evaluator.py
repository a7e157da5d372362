"""An NNUE at work: whole numbers on the CPU, for a batch as any network, for one state, or as
weights for a compiled search."""

import math
from collections import OrderedDict
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.learning.nnue import FEATURES, NnueBatcher
from ringrift.nets.checkpoint import digest_of
from ringrift.nets.nnue import inference as kernels
from ringrift.nets.nnue.checkpoint import NnueCheckpoint
from ringrift.nets.nnue.network import Nnue, quantise
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry

CHUNK: Final = 256
"""positions at once: their accumulators of two seats are a quarter of a megabyte and stay in the
cache"""
CACHED_MAX: Final = 8
SCORE_ONE: Final = 100.0
"""score of one logit: with two seats 100 is a chance of 73 %"""
CERTAIN: Final = 0.9999
"""values beyond it count as this in a score, about 990"""


class NnueEvaluator:
    """Evaluates positions of one config with one NNUE. Not safe for use by several threads at once.

    `network` are the weights for `ringrift.nets.nnue.inference`, to be used by as many threads as like."""

    def __init__(self, config: Config, network: Nnue) -> None:
        whole = quantise(network, FEATURES, second_one=kernels.SECOND_ONE, out_one=kernels.OUT_ONE)
        self.config, self.geometry = config, geometry(config)
        self.network = kernels.Network(
            whole.first,
            whole.first_bias,
            whole.second,
            whole.second_bias,
            whole.out,
            whole.out_bias,
            whole.direct,
            whole.one,
        )
        self.has_policy = network.shape.policy > 0
        self._policy = kernels.Policy(whole.query, whole.query_bias, whole.roles, whole.kinds)
        self._batcher = NnueBatcher(config, policy=self.has_policy)
        self._accumulators = kernels.new_accumulators(self.geometry, self.network, CHUNK)
        self._queries = np.zeros((CHUNK, whole.query_bias.size + 1), np.float32)

    @classmethod
    def load(
        cls, data: bytes, *, digest: str | None = None, config: Config | None = None
    ) -> "NnueEvaluator":
        """From the bytes of a checkpoint. Raises CheckpointError."""
        checkpoint = NnueCheckpoint.parse(data, FEATURES, digest=digest, config=config)
        return cls(checkpoint.header.config, checkpoint.network(FEATURES))

    @classmethod
    def from_checkpoint(cls, path: Path, config: Config) -> "NnueEvaluator":
        """From a file, which must be an NNUE for `config`; the same content is loaded once. Raises
        OSError, CheckpointError."""
        data = path.read_bytes()
        key = digest_of(data)
        if key not in _CACHE or _CACHE[key].config != config:
            _CACHE[key] = cls.load(data, config=config)
        _CACHE.move_to_end(key)
        while len(_CACHE) > CACHED_MAX:
            _CACHE.popitem(last=False)
        return _CACHE[key]

    def evaluate(
        self, states: NDArray[np.int32], codes: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `ringrift.search.players.Evaluate`: logits `[M]`, all 0 without a policy, and values
        `[B, n]` by absolute seat."""
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
        """Write the logits of the moves of `states`, whose accumulators have just been computed."""
        kernels.queries(
            self.geometry, self.network, self._policy, self._accumulators, states, self._queries
        )
        rows, starts, weights, kinds, positions = (
            tensor.numpy() for tensor in self._batcher.moves(states, codes, offsets)
        )
        kernels.score_moves(
            self._policy, self._queries, rows, starts, weights, kinds, positions, logits
        )

    def value(self, state: NDArray[np.int32], seat: int) -> float:
        """Value of one state for `seat` (from 1), -1..1; exact when it is over."""
        values = np.zeros((1, self.config.seats), np.float32)
        kernels.evaluate_batch(self.geometry, self.network, self._accumulators, state[None], values)
        return float(values[0, seat - 1])

    def score(self, state: NDArray[np.int32], seat: int) -> int:
        """The value as a whole number: SCORE_ONE a logit, so that with two seats the scores add up
        to 0."""
        value = max(-CERTAIN, min(CERTAIN, self.value(state, seat)))
        return round(SCORE_ONE * 2 * math.atanh(value))


_CACHE: OrderedDict[str, NnueEvaluator] = OrderedDict()


def clear_nnue_cache() -> None:
    """Forget the networks that `from_checkpoint` keeps."""
    _CACHE.clear()
