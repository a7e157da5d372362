"""The present health of the cluster as one score; `ringrift.deciders.fleet.resilience` has how much
more it can lose.

Weights and thresholds are those of requirement G17.02: 40 quorum, 20 connection (the predecessor's
gossip), 20 breakers, 20 processes; critical below 0.45, degraded below 0.65, a warning below 0.85.
Two corrections (its "known defects"): a lost quorum is critical, and one missing process of many or
one failure in force is a warning, whatever the sum."""

import math
from typing import Literal

from msgspec import Struct

from ringrift.deciders.fleet.resilience import QUORUM_LEVELS, Quorum

HealthLevel = Literal["CRITICAL", "DEGRADED", "WARNING", "HEALTHY"]
HEALTH_LEVELS: tuple[HealthLevel, ...] = ("CRITICAL", "DEGRADED", "WARNING", "HEALTHY")
"""in the order of the gauge `ringrift_health_level`, 0 to 3"""
THRESHOLDS = (0.45, 0.65, 0.85)
WEIGHTS = (0.40, 0.20, 0.20, 0.20)
"""of the quorum, connections, breakers and processes"""


class Health(Struct, frozen=True):
    """Each part 0 to 1, their weighted mean `score`, and its level."""

    quorum: float
    connection: float
    breakers: float
    processes: float
    score: float
    level: HealthLevel


def health(
    level: Quorum,
    *,
    nodes: int,
    connected: int,
    quarantined: int,
    wanted: int,
    running: int,
    failures: int = 0,
) -> Health:
    """Health from the quorum, the numbers of known, connected and quarantined nodes, of wanted and
    running processes, and of failures in force."""
    quorum = QUORUM_LEVELS.index(level) / (len(QUORUM_LEVELS) - 1)
    connection, breakers = _share(connected, nodes), _share(nodes - quarantined, nodes)
    parts = (quorum, connection, breakers, _share(running, wanted))
    score = math.fsum(weight * part for weight, part in zip(WEIGHTS, parts, strict=True))
    reached = sum(score >= threshold for threshold in THRESHOLDS)
    if failures or running < wanted:
        reached = min(reached, HEALTH_LEVELS.index("WARNING"))
    return Health(*parts, score, "CRITICAL" if level == "LOST" else HEALTH_LEVELS[reached])


def _share(part: int, whole: int) -> float:
    """Share of a whole, 0 to 1; 1 if the whole is empty."""
    return min(max(part / whole, 0.0), 1.0) if whole else 1.0
