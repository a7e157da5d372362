"""How long does work take? Mean and variance of the seconds of a unit of finished work, by config
and accelerator.

A unit is a game of self-play, or a whole training or match. A node without measurements is judged
by its declared speed. Newer work counts more, because networks and search budgets grow: the newest
unit weighs at least `WEIGHT_MIN` (exponentially weighted: Finch 2009, "Incremental calculation of
weighted mean and variance", section 9)."""

from __future__ import annotations

import math

from msgspec import Struct

TICKET_SECONDS = 60.0
"""intended duration of a ticket where no registered node asks for another: other configs wait for
its end"""
WEIGHT_MIN = 0.05
"""of the newest ticket: the last twenty count most"""
PRIOR_COUNT = 3.0
"""tickets that a declared speed counts as"""


class Spread(Struct, frozen=True):
    """Mean and variance of the seconds of a unit, from `count` tickets."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def after(self, seconds: float) -> Spread:
        """With one more ticket whose units took `seconds` each."""
        weight = max(1.0 / (self.count + 1), WEIGHT_MIN)
        delta = seconds - self.mean
        variance = (1.0 - weight) * (self.variance + weight * delta * delta)
        return Spread(self.count + 1, self.mean + weight * delta, variance)

    @property
    def careful(self) -> float:
        """Seconds per unit that most tickets stay below: one standard deviation above the mean."""
        return self.mean + math.sqrt(self.variance)


class Durations(Struct, frozen=True, kw_only=True):
    """Seconds per unit of one kind of work: of each config on all nodes, and of each config on each
    accelerator."""

    configs: dict[str, Spread] = {}
    pairs: dict[str, Spread] = {}
    """by `<config> <accelerator>`"""

    def after(self, config: str, accelerator: str, units: float, seconds: float) -> Durations:
        """With one more finished ticket; unchanged if it finished nothing."""
        if units <= 0 or seconds <= 0.0:
            return self
        pair = f"{config} {accelerator}"
        of_config, of_pair = self.configs.get(config, Spread()), self.pairs.get(pair, Spread())
        return Durations(
            configs={**self.configs, config: of_config.after(seconds / units)},
            pairs={**self.pairs, pair: of_pair.after(seconds / units)},
        )

    def longest(self, accelerator: str, speed: float) -> float:
        """Seconds that most units of the config with the longest ones stay below on this
        accelerator; 0 before any was finished."""
        slow, found = self.slowness(accelerator, speed), 0.0
        for config, fleet in self.configs.items():
            here = self.pairs.get(f"{config} {accelerator}", Spread())
            found = max(found, here.careful if here.count >= PRIOR_COUNT else fleet.careful * slow)
        return found

    def slowness(self, accelerator: str, speed: float) -> float:
        """Time of a unit on this accelerator relative to that on all nodes; 1 / `speed` without
        measurements.

        The geometric mean over configs, each weighted by its tickets on this accelerator, and the
        declared speed weighted by `PRIOR_COUNT`."""
        total, weight = -math.log(speed) * PRIOR_COUNT, PRIOR_COUNT
        for config, fleet in self.configs.items():
            here = self.pairs.get(f"{config} {accelerator}", Spread())
            ratio = here.mean / fleet.mean if fleet.mean else 0.0
            if ratio > 0.0:
                total += here.count * math.log(ratio)
                weight += here.count
        return math.exp(total / weight)
