"""Types that several groups of settings share."""

import re
from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ringrift.events.patterns import matching

Severity = Literal["minor", "major", "critical"]
Pace = Literal["regressing", "stalled", "steady", "fast"]
"""how fast a config gains strength, slowest first; the thresholds are settings (`velocity`)"""
HUGE = 1_000_000_000
"""no number is larger: what deciders compute from accepted settings stays finite and has a date"""
Positive = Annotated[int, Meta(ge=1, le=HUGE)]
PerTicket = Annotated[int, Meta(ge=1, le=10_000)]
"""games of one ticket: a worker holds them all"""
NonNegative = Annotated[int, Meta(ge=0, le=HUGE)]
Bytes = Annotated[int, Meta(ge=0, le=2**53)]
Float = Annotated[float, Meta(ge=-HUGE, le=HUGE)]
PositiveFloat = Annotated[float, Meta(ge=1 / HUGE, le=HUGE)]
NonNegativeFloat = Annotated[float, Meta(ge=0.0, le=HUGE)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Factor = Annotated[float, Meta(ge=1 / HUGE, le=1.0)]
"""a factor that reduces a value, or leaves it unchanged"""
Hours = Annotated[float, Meta(ge=1 / HUGE, le=1_000_000.0)]
"""at most a century"""
Simulations = Annotated[int, Meta(ge=1, le=10_000)]
Plies = Annotated[int, Meta(ge=0, le=1_000)]


BOARDS = ("square8", "square19", "hex8", "hexagonal")
LARGE_BOARDS = ("square19", "hexagonal")
"""games there have 600 to 1,000 plies, those of the others 100 to 200"""
_BOARD = f"(?:{'|'.join(BOARDS)})"
_ARCHITECTURE = "[a-z0-9_-]{1,32}"
ConfigPattern = Annotated[str, matching(f"(?:{_BOARD}_[234]p)", "a config such as hex8_2p")]
ConfigGroup = Annotated[
    str,
    matching(
        f"(?:{_BOARD}_[234]p(?:[+]{_BOARD}_[234]p){{1,11}})",
        "configs that are trained together, such as hex8_2p+square8_2p",
    ),
]
ModelOfConfig = Annotated[
    str,
    matching(
        f"(?:{_BOARD}_[234]p=[0-9a-f]{{64}})",
        "a config and the digest of a network for it, such as `hex8_2p=` and 64 digits",
    ),
]
Quota = Annotated[
    str,
    matching(
        f"(?:{_BOARD}(?:_[234]p)?=(?:0?[.][0-9]{{1,9}}|1))",
        "a board or config and the largest share of self-play it may have, such as square8=0.3",
    ),
]
Priority = Annotated[
    str,
    matching(
        f"{_BOARD}_[234]p=(?:[0-9]{{1,3}}(?:[.][0-9]{{1,3}})?)",
        "a config and a factor on its priority, such as hex8_2p=2",
    ),
]
BudgetStep = Annotated[
    str, matching("[0-9]{1,7}=[1-9][0-9]{0,3}", "a limit and a budget, such as 100=64")
]
BudgetSteps = Annotated[tuple[BudgetStep, ...], Meta(min_length=1, max_length=8)]
NodeName = Annotated[str, matching("[a-z0-9_-]{1,64}", "the name of a node, such as gpu1")]
Architecture = Annotated[
    str, matching(f"(?:{_ARCHITECTURE})", "the name of an architecture, such as v2-micro")
]
ArchitectureShare = Annotated[
    str,
    matching(
        f"(?:{_ARCHITECTURE}=(?:0?[.][0-9]{{1,9}}|1))",
        "an architecture and its share of the trainings, such as v2-micro=0.3",
    ),
]
Cascade = Annotated[
    str,
    matching(
        f"(?:{_ARCHITECTURE}>{_ARCHITECTURE})",
        "`a>b`, from architecture a to architecture b",  # requirement G04.15
    ),
]
_HOST = r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]{2,39}\])(?::[0-9]{1,5})?"
WebhookUrl = Annotated[
    str,
    matching(
        rf"(?:|https?://{_HOST}(?:/[!-~]{{0,1000}})?)",
        "an address such as https://alerts.example/hook, without a user or password, or nothing",
    ),
]


class Unlawful(ValueError):
    """Settings of one group that contradict each other; `names` replace the braces in `text`."""

    def __init__(self, text: str, *names: str) -> None:
        super().__init__(text.format(*names))
        self.text, self.names = text, names

    def of(self, group: str) -> str:
        """The message with the whole names of the settings of `group`."""
        return self.text.format(*(f"{group}.{name}" if group else name for name in self.names))


def rising(group: Struct, *names: str, strictly: bool = False) -> None:
    """Raise Unlawful unless these fields rise in this order."""
    for name, next_name in pairwise(names):
        low, high = getattr(group, name), getattr(group, next_name)
        if high < low or (strictly and high == low):
            wanted = "greater than" if strictly else "at least"
            raise Unlawful(f"{{}} must be {wanted} {{}} ({low:g}); got {high:g}", next_name, name)


def distinct(group: Struct, *names: str) -> None:
    """Raise Unlawful if an entry of one of these tuples, up to its `:`, `=` or `>`, is repeated."""
    for name in names:
        keys = [re.split("[:=>]", entry)[0] for entry in getattr(group, name)]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise Unlawful(f"{{}} names {twice} twice; name it once", name)


class BySeverity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value per severity of a finding."""

    minor: PositiveFloat
    major: PositiveFloat
    critical: PositiveFloat

    def __post_init__(self) -> None:
        rising(self, "minor", "major", "critical")

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

    def __post_init__(self) -> None:
        rising(self, "hysteresis", "caution", "warning", "critical", "emergency")
