"""The losses of a training, on all its windows and on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from ringrift.learning.training_state import Part, Progress
from ringrift.learning.window import Window

Weighted = Sequence[tuple[float, float]]
"""losses times their weight, and weights"""


class Tally:
    """Losses since the last report, and the newest ones of each window."""

    def __init__(self, windows: Sequence[Window], turns: Sequence[tuple[int, int]]) -> None:
        """`turns` are as of `ringrift.learning.schedule.turns`."""
        self.windows, self._taken = windows, Counter(window for window, _ in turns)
        self._means: dict[int, list[float]] = {}
        self._validated: dict[int, float | None] = {}
        self._restart()

    def _restart(self) -> None:
        self._sums = torch.zeros(len(self.windows), 3, dtype=torch.float64)
        self._steps = [0] * len(self.windows)

    def add(self, window: int, losses: Tensor) -> None:
        """Add loss, policy loss and value loss of a step."""
        self._sums[window] += losses
        self._steps[window] += 1

    def report(self) -> list[float]:
        """Return the means since the last report."""
        means: list[float] = (self._sums.sum(0) / sum(self._steps)).tolist()
        for window, steps in enumerate(self._steps):
            if steps:
                self._means[window] = (self._sums[window] / steps).tolist()
        self._restart()
        return means

    def validated(self, found: Sequence[Weighted]) -> float | None:
        """Keep the losses on the validation games of each window; return their mean, None if there
        are none."""
        self._validated = {window: _mean(parts) for window, parts in enumerate(found)}
        return _mean([part for parts in found for part in parts])

    def parts(self, last: Progress) -> dict[str, Part]:
        """Return what was done on each config; `last` is the last report."""
        parts, whole = dict[str, Part](), [last.loss, last.policy_loss, last.value_loss]
        for number, window in enumerate(self.windows):
            loss, policy_loss, value_loss = self._means.get(number, whole)
            parts[window.config.key] = Part(
                steps=self._taken[number],
                samples=len(window),
                loss=loss,
                policy_loss=policy_loss,
                value_loss=value_loss,
                validation_loss=self._validated.get(number, last.validation_loss),
            )
        return parts


def _mean(parts: Weighted) -> float | None:
    weight = sum(weight for _, weight in parts)
    return sum(loss for loss, _ in parts) / weight if weight else None
