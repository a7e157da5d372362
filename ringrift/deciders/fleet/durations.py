"""How long will work take? Mean and variance of a unit of finished work, by kind, config and
accelerator.

A unit is a game, or a sample seen in training. What has not been measured on an accelerator follows
from what has been, and from the node's declared speed where nothing has. Newer work counts more,
for networks and search budgets grow: each unit's weight is at least `WEIGHT_MIN` (exponentially
weighted: Finch 2009, "Incremental calculation of weighted mean and variance", section 9)."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

WEIGHT_MIN = 0.05
"""of the newest of many: the last twenty tickets count most"""
PRIOR_COUNT = 3.0
"""tickets that a declared speed counts as"""


class Spread(Struct, frozen=True):
    """Mean and variance of seconds a unit, from `count` tickets."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def after(self, seconds: float) -> Spread:
        """With one more ticket that took so long a unit."""
        weight = max(1.0 / (self.count + 1), WEIGHT_MIN)
        delta = seconds - self.mean
        return Spread(
            self.count + 1,
            self.mean + weight * delta,
            (1.0 - weight) * (self.variance + weight * delta * delta),
        )

    @property
    def careful(self) -> float:
        """Seconds a unit that most tickets stay below: a standard deviation above the mean."""
        return self.mean + math.sqrt(self.variance)


class Durations(Struct, frozen=True, kw_only=True):
    """Seconds a unit of work of one kind: of each config on the whole fleet, and of each (config,
    accelerator)."""

    configs: dict[str, Spread] = {}
    pairs: dict[str, Spread] = {}
    """by `<config> <accelerator>`"""

    def after(self, config: str, accelerator: str, units: float, seconds: float) -> Durations:
        """With a finished ticket; one that finished nothing tells nothing."""
        if units <= 0 or seconds <= 0.0:
            return self
        pair = f"{config} {accelerator}"
        of_config, of_pair = self.configs.get(config, Spread()), self.pairs.get(pair, Spread())
        return replace(
            self,
            configs={**self.configs, config: of_config.after(seconds / units)},
            pairs={**self.pairs, pair: of_pair.after(seconds / units)},
        )

    def slowness(self, accelerator: str, speed: float) -> float:
        """Seconds a unit on this accelerator against those on the fleet; 1 / `speed` as long as
        nothing was measured.

        The geometric mean over configs, each weighing as many tickets as both sides have, and the
        prior with `PRIOR_COUNT`."""
        total, weight = -math.log(speed) * PRIOR_COUNT, PRIOR_COUNT
        for config, fleet in self.configs.items():
            here = self.pairs.get(f"{config} {accelerator}", Spread())
            if here.count:
                total += here.count * math.log(here.mean / fleet.mean)
                weight += here.count
        return math.exp(total / weight)

    def predict(self, config: str, accelerator: str, speed: float) -> Spread | None:
        """Seconds a unit on this accelerator; None if the config has finished nothing anywhere."""
        measured = self.pairs.get(f"{config} {accelerator}", Spread())
        if measured.count >= PRIOR_COUNT:
            return measured
        fleet = self.configs.get(config)
        if fleet is None:
            return None
        factor = self.slowness(accelerator, speed)
        return Spread(fleet.count, fleet.mean * factor, fleet.variance * factor * factor)
