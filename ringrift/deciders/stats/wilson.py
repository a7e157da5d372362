"""Confidence intervals of shares (Wilson 1927, "Probable inference, the law of succession, and
statistical inference")."""

import math

from ringrift.events.facts import Z_95


def wilson_interval(share: float, samples: float) -> tuple[float, float]:
    """The 95 % interval of a share in a number of independent samples; it contains the share in
    spite of rounding."""
    z2 = Z_95 * Z_95
    middle = (share + z2 / (2 * samples)) / (1 + z2 / samples)
    variance = share * (1 - share) / samples + z2 / (4 * samples * samples)
    half = Z_95 * math.sqrt(variance) / (1 + z2 / samples)
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))
