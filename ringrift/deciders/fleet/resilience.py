"""How much the cluster can still lose: one score, and rules for single parts that a sum would hide.

Weights are those of requirement G19.04: 30 memory, 30 coordinator, 25 quorum, 15 processes.
Corrections to the predecessor's numbers (requirements, "known defects"): a part that is lost
entirely is a warning whatever the sum, a lost quorum is critical, and what nothing can replace
counts half: a role without a standby on another node, a single server."""

import math
from collections.abc import Collection, Mapping
from typing import Literal

from msgspec import Struct

from ringrift.deciders.fleet.pressure import TIERS
from ringrift.events.facts import Tier

Quorum = Literal["HEALTHY", "DEGRADED", "MINIMUM", "LOST"]
QUORUM_LEVELS: tuple[Quorum, ...] = ("LOST", "MINIMUM", "DEGRADED", "HEALTHY")
"""in the order of the gauge `ringrift_quorum_health_level`, 0 to 3 (requirement G23.02)"""
WEIGHTS = (0.30, 0.30, 0.25, 0.15)
"""of the memory, coordinator, quorum and processes"""
WARN_BELOW = 0.70
IRREPLACEABLE = 0.5
"""the value of a role without a standby, and of the quorum of a single server"""

Level = Literal["HEALTHY", "WARNING", "CRITICAL"]
_RELIEF = {
    "ram": "run fewer workers on the node under pressure, or give it more memory",
    "disk": "free some on the node under pressure; it takes no tickets while less than 5 % is free",
    "files": "allow the processes of the node under pressure more open files (`ulimit -n`)",
}


class Resilience(Struct, frozen=True):
    """Each part 0 to 1, their weighted mean `score`, its level, and what to do."""

    memory: float
    coordinator: float
    quorum: float
    processes: float
    score: float
    level: Level
    advice: tuple[str, ...]


def quorum_level(voters: int, alive: int) -> Quorum:
    """Level by the number of voters that may still be lost: two or more, one, none; lost if too
    many are gone. A single server is its own quorum."""
    if voters <= 1:
        return "HEALTHY" if alive else "LOST"
    margin = alive - (voters // 2 + 1)
    if margin < 0:
        return "LOST"
    if margin == 0:
        return "MINIMUM"
    return "HEALTHY" if margin >= 2 or alive == voters else "DEGRADED"


def resilience(
    *,
    tier: Tier,
    roles: Mapping[str, str | None],
    standbys: Collection[str],
    level: Quorum,
    voters: int,
    wanted: Collection[str],
    running: Collection[str],
    scarce: str = "",
) -> Resilience:
    """Resilience from the worst tier of a resource of a node, the `scarce` one, the holders of the
    leased roles, the roles for which another node stands by, the quorum, the number of servers, and
    the wanted and running processes."""
    alone = [role for role, holder in roles.items() if holder and role not in standbys]
    vacant = [role for role, holder in roles.items() if holder is None]
    missing = [name for name in wanted if name not in running]
    memory = 1.0 - TIERS.index(tier) / (len(TIERS) - 1)
    lacking = len(vacant) + (1.0 - IRREPLACEABLE) * len(alone)
    coordinator = 1.0 - lacking / len(roles) if roles else 1.0
    quorum = QUORUM_LEVELS.index(level) / (len(QUORUM_LEVELS) - 1)
    if voters == 1:
        quorum *= IRREPLACEABLE
    processes = 1.0 - len(missing) / len(wanted) if wanted else 1.0
    parts = (memory, coordinator, quorum, processes)
    score = math.fsum(weight * part for weight, part in zip(WEIGHTS, parts, strict=True))
    verdict: Level = "HEALTHY"
    if level == "LOST":
        verdict = "CRITICAL"
    elif score < WARN_BELOW or 0.0 in parts:
        verdict = "WARNING"
    found = []
    if level != "HEALTHY":
        found.append("quorum: start the missing voters, one at a time")
    if vacant:
        found.append(vacant_advice(vacant))
    if alone and voters > 1:  # those on a single server would stop with it
        remedy = "run a second node with the role coordinator"
        found.append(f"standby: no other node stands by as {', '.join(alone)}; {remedy}")
    if memory < 1.0:
        found.append(f"{scarce or 'memory'}: {_RELIEF.get(scarce, _RELIEF['ram'])}")
    if missing:
        found.append(missing_advice(missing))
    return Resilience(*parts, score, verdict, tuple(found))


def vacant_advice(roles: Collection[str]) -> str:
    """What to do about leased roles without a holder."""
    return f"coordinator: no process acts as {', '.join(roles)}; start one"


def missing_advice(names: Collection[str]) -> str:
    """What to do about processes that do not run."""
    return f"processes: start {', '.join(names)} with `ringrift up` or their systemd units"
