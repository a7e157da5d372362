"""Shared by the facts: base classes, and the types of fields."""

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from ringrift.events.fact import Fact as Fact
from ringrift.events.patterns import matching
from ringrift.events.settings.kinds import BOARDS, LARGE_BOARDS, Pace as Pace, Severity as Severity

COUNT_MAX = 2**53
"""the largest whole number that readers of JSON with doubles hold exactly"""
VALUE_MAX = 1e9
"""no Elo, loss, price or duration in seconds (30 years) is larger"""
TEXT_CHARS_MAX = 20_000
ITEMS_MAX = 100_000
"""items of a tuple"""

Sha256 = Annotated[str, matching("[0-9a-f]{64}", "a digest of 64 hexadecimal digits")]
Token = Annotated[
    str, matching("[a-z0-9_-]{1,64}", "a name of 1 to 64 lower-case letters, digits, `_` and `-`")
]
Name = Annotated[
    str, matching("[!-~]{1,200}", "a name of 1 to 200 ASCII characters without spaces")
]
"""of a participant, an architecture, an encoder, a ticket, a stream"""
Position = Annotated[str, matching("[A-Z]{1,20}/[0-9]{1,19}", "a position such as EVENTS/120")]
Text = Annotated[str, Meta(max_length=TEXT_CHARS_MAX)]
Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]
Positive = Annotated[int, Meta(ge=1, le=COUNT_MAX)]
Finite = Annotated[float, Meta(ge=-VALUE_MAX, le=VALUE_MAX)]
NonNegative = Annotated[float, Meta(ge=0.0, le=VALUE_MAX)]
Above0 = Annotated[float, Meta(gt=1e-9, le=VALUE_MAX)]
"""a factor, weight or duration; divisors, so not even nearly 0"""
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
if TYPE_CHECKING:
    ConfigName = str
else:  # checking a choice is ten times as fast as a pattern, which took half of decoding an event
    ConfigName = Literal[tuple(f"{board}_{seats}p" for board in BOARDS for seats in (2, 3, 4))]
Harness = Literal[
    "gumbel",
    "gpu_gumbel",
    "puct",
    "minimax",
    "maxn",
    "brs",
    "policy",
    "descent",
    "person",
    "heuristic",
    "random",
]
"""how the moves of a seat are chosen; a person chooses them in games of origin `human` only"""
Purpose = Literal[
    "promotion",
    "random",
    "heuristic",
    "strength",
    "ladder",
    "gauntlet",
    "tier",
    "tournament",
    "experiment",
]
"""why an evaluation is played: the loop requests the first three, and that of an experiment; people
request the others (`MEASURING`)"""
MEASURING = frozenset({"strength", "ladder", "gauntlet", "tier", "tournament", "experiment"})
"""purposes of evaluations that only measure: their participants are rated, but no candidate is
judged by them and no network learns from their games"""
WorkKind = Literal["selfplay", "training", "evaluation"]
ArmName = Literal["a", "b"]
"""an arm of an experiment"""


class ConfigFact(Fact):
    """Base of facts about one config."""

    config: ConfigName


class ConfigDecision(ConfigFact):
    """Base of decisions about one config; each cites the settings it was taken under."""

    settings_version: Count


class TicketFact(ConfigFact):
    """Base of facts that a worker on `node` writes about its ticket."""

    ticket: Name
    node: Token


class GenerationDecision(ConfigDecision):
    """Base of decisions about one generation of a config."""

    generation: Count


class GenerationFact(TicketFact):
    """Base of facts about a ticket of one generation."""

    generation: Count


class NodeFact(Fact):
    """Base of facts about one node."""

    node: Token


class DeadLetterFact(Fact):
    """Base of facts about one dead letter: message `seq` of `stream`, which `consumer` could not
    use; its bytes are message `dead_seq` of `DEAD`."""

    consumer: Token
    stream: Name
    seq: Count
    dead_seq: Count


def law(holds: object, otherwise: str) -> None:
    """Raise ValueError if a fact contradicts itself; decoding such a fact fails with that text."""
    if not holds:
        raise ValueError(otherwise)


def is_large(config: str) -> bool:
    """Whether a config is played on a large board."""
    return config.rpartition("_")[0] in LARGE_BOARDS


def seats_of(config: str) -> int:
    """Number of seats of a config: 2 of `hex8_2p`."""
    return int(config[-2])
