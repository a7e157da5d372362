"""Types that several groups of settings share."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Severity = Literal["minor", "major", "critical"]
Pace = Literal["regressing", "stalled", "steady", "fast"]
"""how fast a config gains strength, slowest first; the thresholds are settings (`velocity`)"""
Positive = Annotated[int, Meta(ge=1)]
PerTicket = Annotated[int, Meta(ge=1, le=10_000)]
"""games of one ticket: a worker holds them all"""
Simulations = Annotated[int, Meta(ge=1, le=1_000_000)]
NonNegative = Annotated[int, Meta(ge=0)]
PositiveFloat = Annotated[float, Meta(gt=0.0)]
NonNegativeFloat = Annotated[float, Meta(ge=0.0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Factor = Annotated[float, Meta(gt=0.0, le=1.0)]
"""a factor that reduces a value, or leaves it unchanged"""
BOARDS = ("square8", "square19", "hex8", "hexagonal")
_BOARD = f"({'|'.join(BOARDS)})"
ConfigPattern = Annotated[str, Meta(pattern=rf"^{_BOARD}_[234]p$(?!\n)")]
ModelOfConfig = Annotated[str, Meta(pattern=rf"^{_BOARD}_[234]p=[0-9a-f]{{64}}$(?!\n)")]
"""A config and the digest of a network for it."""
Quota = Annotated[str, Meta(pattern=rf"^{_BOARD}(_[234]p)?=(0?[.][0-9]+|1)$(?!\n)")]
"""A board or config and the largest share of self-play it may have."""
Cascade = Annotated[str, Meta(pattern=r"^[a-z0-9-]+>[a-z0-9-]+$(?!\n)")]
"""`a>b`: from architecture a to architecture b (requirement G04.15)."""


class BySeverity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value per severity of a finding."""

    minor: PositiveFloat
    major: PositiveFloat
    critical: PositiveFloat

    def of(self, severity: Severity) -> float:
        """The value of a severity."""
        return float(getattr(self, severity))

    def reached(self, value: float) -> Severity | None:
        """Highest severity whose threshold `value` reaches; None below all."""
        names: tuple[Severity, ...] = ("critical", "major", "minor")
        return next((name for name in names if value >= self.of(name)), None)


class ByPace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One factor per pace at which a config gains strength (`velocity`)."""

    regressing: PositiveFloat
    stalled: PositiveFloat
    steady: PositiveFloat
    fast: PositiveFloat

    def of(self, pace: Pace | None) -> float:
        """The factor of a pace; that of `steady` while it is unknown."""
        return float(getattr(self, pace or "steady"))


class Tiers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Share of a resource in use at which each tier of pressure begins; a tier ends `hysteresis`
    below its beginning, so that it does not flap."""

    caution: Fraction
    warning: Fraction
    critical: Fraction
    emergency: Fraction
    hysteresis: Fraction
