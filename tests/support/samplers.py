"""Samplers for tests of training."""

from ringrift.learning.batches import Sampled, Sampler


class OneBatch(Sampler):
    """Draws all its samples at every step, in their order and without symmetries."""

    def at(self, step: int, part: int = 0, parts: int = 1) -> Sampled:
        """See `Sampler.at`."""
        return self.take(self.chosen[part::parts])
