"""The common ground of both simulators: a seed, the virtual clock, and randomness by purpose."""

import random

from ringrift.tools.simulation.clock import VirtualClock


class World:
    """A simulated world. Everything in it follows from its parameters and its seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.clock = VirtualClock()
        self._chances: dict[str, random.Random] = {}

    def chance(self, purpose: str) -> random.Random:
        """The random generator for a purpose: draws for one do not change those for another."""
        if purpose not in self._chances:
            self._chances[purpose] = random.Random(f"{self.seed}/{purpose}")
        return self._chances[purpose]
