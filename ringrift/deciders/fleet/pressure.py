"""How tight a resource is: four borders with hysteresis, and what each tier asks for (requirements
G18.01, G18.02, G18.05).

| tier | memory | file descriptors; disk | |---|---|---| | caution | 60 %: said | 60 %; 80 %: said |
| warning | 70 %: no new tickets; half as many games are searched at once | 70 %; 95 %: no new
tickets | | critical | 80 %: a quarter as many, caches emptied | 80 %; 97 %: no new tickets | |
emergency | 90 %: tickets and leases handed over, the process leaves cleanly | 90 %; 99 %: no new
tickets |

A training's batch is part of what it computes, so it is not made smaller: at the emergency it is
handed over with a checkpoint."""

from __future__ import annotations

from ringrift.events.facts import Resource, Tier
from ringrift.events.settings import OperationSettings

TIERS: tuple[Tier, ...] = ("normal", "caution", "warning", "critical", "emergency")
MEMORY: frozenset[Resource] = frozenset({"ram", "vram"})
BATCH_SHARES: dict[Tier, float] = {"warning": 0.5, "critical": 0.25, "emergency": 0.25}
"""of the games that are searched at once, in the tier of the tighter memory; requirement G18.01:
reduce batch sizes"""


def tier_after(
    previous: Tier, used: float, settings: OperationSettings, resource: Resource = "ram"
) -> Tier:
    """The tier of a share in use, 0..1. It rises at a border and falls only the hysteresis below
    it."""
    borders, hysteresis = _borders(resource, settings)
    reached, kept = (
        _tier(used, borders),
        _tier(used, tuple(border - hysteresis for border in borders)),
    )
    return max(reached, min(previous, kept, key=TIERS.index), key=TIERS.index)


def _borders(resource: Resource, it: OperationSettings) -> tuple[tuple[float, ...], float]:
    if resource == "disk":
        return (
            it.disk_caution,
            it.disk_warning,
            it.disk_critical,
            it.disk_emergency,
        ), it.disk_hysteresis
    return (
        it.pressure_caution,
        it.pressure_warning,
        it.pressure_critical,
        it.pressure_emergency,
    ), it.pressure_hysteresis


def _tier(used: float, borders: tuple[float, ...]) -> Tier:
    return TIERS[
        max((level for level, border in enumerate(borders, 1) if used >= border), default=0)
    ]


def worst(tiers: dict[Resource, Tier]) -> tuple[Resource | None, Tier]:
    """The tightest resource and its tier; None and normal if there is none."""
    if not tiers:
        return None, "normal"
    resource = max(tiers, key=lambda name: TIERS.index(tiers[name]))
    return (resource, tiers[resource]) if tiers[resource] != "normal" else (None, "normal")


def takes_work(tiers: dict[Resource, Tier]) -> bool:
    """Whether a worker may take another ticket."""
    return TIERS.index(worst(tiers)[1]) < TIERS.index("warning")


def batch_size(games: int, tiers: dict[Resource, Tier]) -> int:
    """How many of so many games to search at once, at least one."""
    tier = worst({resource: tier for resource, tier in tiers.items() if resource in MEMORY})[1]
    return max(1, int(games * BATCH_SHARES.get(tier, 1.0)))


def frees_caches(resource: Resource, tier: Tier) -> bool:
    """Whether what can be computed again should be dropped from memory."""
    return resource in MEMORY and TIERS.index(tier) >= TIERS.index("critical")


def must_leave(resource: Resource, tier: Tier) -> bool:
    """Whether the process should hand over what it holds and end; a full disk is not freed by
    that."""
    return resource in MEMORY and tier == "emergency"
