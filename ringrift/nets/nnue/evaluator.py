"""Evaluation of positions by an NNUE, in integers on the CPU: states and legal moves in, logits and
values out. Searches that run inside compiled code do the same at each leaf."""

import numpy as np

from ringrift.nets.arrays import Codes, Floats, Int64s, States
from ringrift.nets.nnue.policy import Weights, evaluate, new_inference
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry


class NnueEvaluator:
    """Evaluates positions of one config with one NNUE. Not thread-safe, but several threads may use
    `weights`."""

    def __init__(self, config: Config, weights: Weights) -> None:
        self.config, self.geometry, self.weights = config, geometry(config), weights
        self._inference = new_inference(self.geometry, weights, 1)

    def evaluate(self, states: States, codes: Codes, offsets: Int64s) -> tuple[Floats, Floats]:
        """Return logits `[M]`, all 0 without a policy, and values `[B, n]` by absolute seat, as
        `ringrift.nets.evaluator.Evaluator.evaluate` does."""
        logits = np.zeros(len(codes), np.float32)
        values = np.zeros((len(states), self.config.seats), np.float32)
        some = np.ascontiguousarray(states)
        evaluate(self.geometry, self._inference, some, codes, offsets, logits, values)
        return logits, values
