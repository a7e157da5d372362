"""What all facts share: the base class, and the types of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from ringrift.events.fact import Fact as Fact

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Token = Annotated[str, Meta(pattern="^[a-z0-9_-]{1,64}$")]
Count = Annotated[int, Meta(ge=0)]
if TYPE_CHECKING:
    ConfigName = str
else:  # a choice is checked ten times as fast as a pattern, which was half the time of decoding an event
    ConfigName = Literal[
        "square8_2p",
        "square8_3p",
        "square8_4p",
        "square19_2p",
        "square19_3p",
        "square19_4p",
        "hex8_2p",
        "hex8_3p",
        "hex8_4p",
        "hexagonal_2p",
        "hexagonal_3p",
        "hexagonal_4p",
    ]
Harness = Literal[
    "gumbel", "gpu_gumbel", "minimax", "maxn", "brs", "policy", "descent", "heuristic", "random"
]
Purpose = Literal[
    "promotion", "random", "heuristic", "strength", "ladder", "gauntlet", "tier", "tournament"
]
"""what a match is for: the first three are the loop's own, the others (`MEASURING`) are asked for
by people"""
MEASURING = frozenset({"strength", "ladder", "gauntlet", "tier", "tournament"})
"""purposes of matches that only measure: everyone in them is rated, but nobody is judged by them or
learns from their games"""
Severity = Literal["minor", "major", "critical"]
Pace = Literal["regressing", "stalled", "steady", "fast"]
"""how fast a config grows stronger, slowest first; the bounds are settings (`velocity`)"""


def seats_of(config: str) -> int:
    """Number of seats of a config: 2 of `hex8_2p`."""
    return int(config[-2])
