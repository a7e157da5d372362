"""Pressure on a resource: four thresholds with hysteresis, and the measures of each tier
(requirements G18.01, G18.02, G18.05).

    tier        memory                                   file descriptors; disk
    caution     60 %: recorded                           60 %; 80 %: recorded
    warning     70 %: no new tickets, half of the games  70 %; 95 %: no new tickets
                searched at once
    critical    80 %: a quarter of the games, caches     80 %; 97 %: no new tickets
                dropped
    emergency   90 %: tickets and leases handed over,    90 %; 99 %: no new tickets
                the process ends

The batch of a training is part of its result, so it is not reduced: in an emergency the training is
handed over with a checkpoint."""

from ringrift.events.facts import Resource, Tier
from ringrift.events.settings import OperationSettings

TIERS: tuple[Tier, ...] = ("normal", "caution", "warning", "critical", "emergency")
MEMORY: frozenset[Resource] = frozenset({"ram", "vram"})
BATCH_SHARES: dict[Tier, float] = {"warning": 0.5, "critical": 0.25, "emergency": 0.25}
"""of the games that are searched at once, by the tier of the scarcer memory (requirement
G18.01)"""


def tier_after(
    previous: Tier, used: float, settings: OperationSettings, resource: Resource = "ram"
) -> Tier:
    """The tier of a share in use, 0 to 1; it falls only the hysteresis below a threshold."""
    tiers = settings.disk if resource == "disk" else settings.pressure
    thresholds = (tiers.caution, tiers.warning, tiers.critical, tiers.emergency)
    reached = TIERS[sum(used >= threshold for threshold in thresholds)]
    kept = TIERS[sum(used >= threshold - tiers.hysteresis for threshold in thresholds)]
    return max(reached, min(previous, kept, key=TIERS.index), key=TIERS.index)


def worst(tiers: dict[Resource, Tier]) -> tuple[Resource | None, Tier]:
    """The scarcest resource and its tier; None and normal without pressure."""
    if not tiers:
        return None, "normal"
    resource = max(tiers, key=lambda name: TIERS.index(tiers[name]))
    return (resource, tiers[resource]) if tiers[resource] != "normal" else (None, "normal")


def takes_work(tiers: dict[Resource, Tier]) -> bool:
    """Whether a worker may take another ticket."""
    return TIERS.index(worst(tiers)[1]) < TIERS.index("warning")


def batch_size(games: int, tiers: dict[Resource, Tier]) -> int:
    """How many of `games` to search at once, at least one."""
    tier = worst({resource: tier for resource, tier in tiers.items() if resource in MEMORY})[1]
    return max(1, int(games * BATCH_SHARES.get(tier, 1.0)))


def frees_caches(resource: Resource, tier: Tier) -> bool:
    """Whether caches should be dropped from memory."""
    return resource in MEMORY and TIERS.index(tier) >= TIERS.index("critical")


def must_leave(resource: Resource, tier: Tier) -> bool:
    """Whether the process should hand over its tickets and end; that would not free a full disk."""
    return resource in MEMORY and tier == "emergency"
