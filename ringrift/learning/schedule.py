"""How long a training is, and its learning rate by step."""

import math
from collections.abc import Sequence
from typing import Final

from ringrift.events.settings import TrainingSettings

WARM_UP_SHARE: Final = 0.05  # of the steps, until Adam's second moments settle
RATE_FLOOR: Final = 0.02  # last learning rate as a share of the full one


def steps_for(settings: TrainingSettings, samples: int) -> int:
    """Return the number of gradient steps of a training on `samples` samples, at least 1."""
    return max(1, round(settings.epochs * samples / settings.batch))


def evenly(steps: int, windows: int) -> list[int]:
    """Return the steps on each of several windows, the first ones with one more if they must."""
    return [(steps + windows - 1 - window) // windows for window in range(windows)]


def turns(steps: Sequence[int]) -> list[tuple[int, int]]:
    """Return for each step of a training on several windows, with so many steps each, its window
    and its number among the steps of that window. The steps of each are spread evenly."""
    order = sorted(
        ((at + 1) / count, window, at) for window, count in enumerate(steps) for at in range(count)
    )
    return [(window, at) for _, window, at in order]


def learning_rate(settings: TrainingSettings, step: int, steps: int) -> float:
    """Return the learning rate: linear warm-up, then half a cosine down to `RATE_FLOOR` of the full
    rate."""
    warm = max(1.0, WARM_UP_SHARE * steps)
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    share = (step - warm) / max(1.0, steps - warm)
    cosine = 0.5 * (1 + math.cos(math.pi * share))
    return settings.learning_rate * (RATE_FLOOR + (1 - RATE_FLOOR) * cosine)
