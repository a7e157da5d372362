"""How tight a resource is: four borders with hysteresis, and what each tier asks for (requirements G18.01, G18.02, G18.05).

| tier | memory | disk and file descriptors |
|---|---|---|
| caution (60 %) | said | said |
| warning (70 %) | no new tickets | no new tickets |
| critical (80 %) | caches emptied too | no new tickets |
| emergency (90 %) | tickets and leases handed over, the process leaves cleanly | no new tickets |
"""

from __future__ import annotations

from ringrift.events.facts import Resource, Tier
from ringrift.events.settings import OperationSettings

TIERS: tuple[Tier, ...] = ("normal", "caution", "warning", "critical", "emergency")
MEMORY = frozenset({"ram", "vram"})


def tier_after(previous: Tier, used: float, settings: OperationSettings) -> Tier:
    """The tier of a share in use, 0..1. It rises at a border and falls only `pressure_hysteresis` below it."""
    reached = _tier(used, settings, 0.0)
    kept = _tier(used, settings, settings.pressure_hysteresis)
    return max(reached, min(previous, kept, key=TIERS.index), key=TIERS.index)


def _tier(used: float, settings: OperationSettings, slack: float) -> Tier:
    borders = (
        settings.pressure_caution, settings.pressure_warning, settings.pressure_critical, settings.pressure_emergency,
    )  # fmt: skip
    return TIERS[max((level for level, border in enumerate(borders, 1) if used >= border - slack), default=0)]


def worst(tiers: dict[Resource, Tier]) -> tuple[Resource | None, Tier]:
    """The tightest resource and its tier; None and normal if there is none."""
    if not tiers:
        return None, "normal"
    resource = max(tiers, key=lambda name: TIERS.index(tiers[name]))
    return (resource, tiers[resource]) if tiers[resource] != "normal" else (None, "normal")


def takes_work(tiers: dict[Resource, Tier]) -> bool:
    """Whether a worker may take another ticket."""
    return TIERS.index(worst(tiers)[1]) < TIERS.index("warning")


def frees_caches(resource: Resource, tier: Tier) -> bool:
    """Whether what can be computed again should be dropped from memory."""
    return resource in MEMORY and TIERS.index(tier) >= TIERS.index("critical")


def must_leave(resource: Resource, tier: Tier) -> bool:
    """Whether the process should hand over what it holds and end; a full disk is not freed by that."""
    return resource in MEMORY and tier == "emergency"
