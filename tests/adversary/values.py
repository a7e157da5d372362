"""Values of the type of any field: usual ones, which refer to each other, and odd ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import msgspec.inspect as mi

from ringrift.events.settings import HYPERPARAMETERS

CONFIGS = ("hex8_2p", "square8_3p", "hexagonal_4p")
"""in use"""
OTHER_CONFIG = "square19_2p"
MODELS = tuple(digit * 64 for digit in "0123456789abcdef")
NODES = ("n1", "n2", "n3", "n4")
PROCESSES = ("planner", "selfplay", "trainer", "exporter")
ARCHITECTURES = ("v2-micro", "v2", "nnue", "no-such-net")
_WORDS = "x a/b None nan -1 [/x] random a:b:c baseline:random:s0 hex8_2p all \U0001f642"
_TEXTS = ("", " ", "\n", "n1\n", "\x00", "\x1b[2J", "\u202e", "y" * 3000, *_WORDS.split())
_POWERS = (2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30)
_INTEGERS = (0, 1, 2, 3, 5, 64, 1000, *_POWERS, -1, -2, -(2**63), -(10**30))
_TINY = (5e-324, -5e-324, 2.2250738585072014e-308, 1e-9, 0.0, -0.0)
_HUGE = (1e15, 1e308, -1e308, 1.7976931348623157e308, 2**70)
_NUMBERS = (*_TINY, 0.5, 0.1 + 0.2, 1.0, 3, -1.0, 100.0, *_HUGE)
_SEQUENCES = ("", "x", "-1", "0", "1/2", str(10**30), "\u0663", "1\n")
_POSITIONS = ("", "x", "/", "WORK/3", "GAMES/1", "events/1", *(f"EVENTS/{n}" for n in _SEQUENCES))
_HYPERPARAMETERS = (*sorted(HYPERPARAMETERS), "promotion.elo1", "training", "x", "")
SIZES = (0, 1, 1, 2, 2, 3, 5)
ODD_SHARE = 0.25
"""of the leaves of an invented value; the others are usual, so that facts refer to each other"""


class Values:
    """Plain data for the types of fields. What the log names is remembered in `tickets` and
    `positions`."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.tickets = ["t"]
        self.positions = ["EVENTS/1"]
        self.participants = ["baseline:random:s0", "baseline:heuristic:s0"]

    def chance(self, share: float) -> bool:
        """True in this share of calls."""
        return self.random.random() < share

    def recent(self, names: Sequence[str]) -> str:
        """One of the newest names."""
        return self.random.choice(names[-8:])

    def invented(self, kind: mi.Type, name: str = "", odd: float = ODD_SHARE) -> Any:
        """A value of a type for the field `name`; `odd` is the share of odd leaves."""
        random = self.random
        match kind:
            case mi.Metadata():
                return self.invented(kind.type, name, odd)
            case mi.UnionType():
                return self.invented(random.choice(kind.types), name, odd)
            case mi.StructType():
                return {
                    field.encode_name: self.invented(field.type, field.name, odd)
                    for field in kind.fields
                    if field.required or self.chance(0.7)
                }
            case mi.VarTupleType() | mi.ListType():
                size = random.choice(SIZES)
                items = [self.invented(kind.item_type, name, odd) for _ in range(size)]
                return items + items[:1] if self.chance(odd / 2) else items
            case mi.TupleType():
                return [self.invented(item, name, odd) for item in kind.item_types]
            case mi.DictType():
                size = random.choice(SIZES)
                return {
                    self._key(kind.key_type, name): self.invented(kind.value_type, name, odd)
                    for _ in range(size)
                }
        return self._leaf(kind, name, odd)

    def changed(self, kind: mi.Type, value: Any, share: float, name: str = "") -> Any:
        """A value in which this share of the parts is replaced by odd ones."""
        if self.chance(share):
            return self.invented(kind, name, odd=0.8)
        match kind:
            case mi.Metadata():
                return self.changed(kind.type, value, share, name)
            case mi.StructType() if isinstance(value, dict):
                types = {field.encode_name: field.type for field in kind.fields}
                return {
                    key: self.changed(types[key], part, share, key) for key, part in value.items()
                }
            case mi.VarTupleType() if isinstance(value, Sequence):
                parts = [self.changed(kind.item_type, part, share, name) for part in value]
                return (
                    parts[: self.random.randrange(len(parts))]
                    if parts and self.chance(share)
                    else parts
                )
            case mi.DictType() if isinstance(value, Mapping):
                return {
                    key: self.changed(kind.value_type, part, share, name)
                    for key, part in value.items()
                }
            case mi.UnionType() if value is not None:
                (*others,) = (one for one in kind.types if not isinstance(one, mi.NoneType))
                return self.changed(others[0], value, share, name)
        return value

    def odd_position(self) -> str:
        """Text where a position is expected."""
        return self.random.choice(_POSITIONS)

    def text(self, name: str, odd: float) -> str:
        """Text for the field `name`."""
        random = self.random
        if self.chance(odd):
            return random.choice(_TEXTS)
        match name:
            case "ticket" | "tickets" | "scored_tickets" | "unscored_tickets":
                return self.recent(self.tickets)
            case "request" | "retraction" | "cause":
                return self.odd_position() if self.chance(odd) else self.recent(self.positions)
            case "node" | "target" | "scope" | "holder":
                return random.choice((*NODES, "all", "node-n1"))
            case "architecture" | "shares" | "elo_per_hour" | "trainings":
                return random.choice(ARCHITECTURES)
            case "consumer" | "role" | "instance":
                return random.choice(PROCESSES)
            case "weights" | "terms":
                return random.choice((*CONFIGS, OTHER_CONFIG))
            case "values" | "factors" | "hyperparameters":
                return random.choice(_HYPERPARAMETERS)
            case "stream":
                return random.choice(("EVENTS", "GAMES", "WORK"))
            case "candidate" | "opponent" | "participant" | "participants" | "order":
                return self.recent(self.participants)
        return random.choice(("why", "v1", "t"))

    def _key(self, kind: mi.Type, name: str) -> str:
        return str(self.invented(kind, name, ODD_SHARE))

    def _leaf(self, kind: mi.Type, name: str, odd: float) -> Any:
        random = self.random
        match kind:
            case mi.NoneType():
                return None
            case mi.BoolType():
                return self.chance(0.5)
            case mi.LiteralType():
                known = [value for value in CONFIGS if value in kind.values]
                return random.choice(known if known and self.chance(0.9) else list(kind.values))
            case mi.StrType(pattern=str(pattern)):
                return self._matching(pattern)
            case mi.StrType():
                return self.text(name, odd)
            case mi.IntType():
                small = range(4) if name in ("generation", "index", "round") else range(1, 200)
                value = random.choice(_INTEGERS if self.chance(odd) else small)
                return value if _fits(kind, value) else max(kind.ge or 0, 1)
            case mi.FloatType():
                number = random.choice(_NUMBERS) if self.chance(odd) else random.uniform(0.0, 2.0)
                return number if _fits(kind, number) else 0.5
            case mi.DateTimeType():
                return "2026-01-01T00:00:00Z"
            case mi.BytesType():
                return random.choice(("", "eA==", "AAAA"))
        raise TypeError(f"no values of {kind}")

    def _matching(self, pattern: str) -> str:
        """Text that matches one of the patterns of facts and settings, or nearly."""
        random = self.random
        if "64" in pattern and "{1,64}" not in pattern:
            found = random.choice(MODELS)
            found = found if "=" not in pattern else f"{random.choice(CONFIGS)}={found}"
        elif ":price=" in pattern:
            found = random.choice(("x", "a:price=0:speed=0:vram=0:max=999")) + random.choice(
                ("", ":price=1:speed=2:vram=3:max=4")
            )
        elif ">" in pattern:
            found = random.choice(("v2-micro>v2", "x>x", "v2>no-such-net"))
        elif "=" in pattern:
            found = random.choice(("square8=0.3", "hex8_2p=1", "hexagonal=.0", "hex8=0.0"))
        elif "[234]p" in pattern:
            found = random.choice((*CONFIGS, OTHER_CONFIG))
        else:
            found = random.choice((*NODES, "all", *PROCESSES, "node-n1", "-", "_"))
        return found + "\n" if self.chance(0.02) else found


def _fits(kind: mi.IntType | mi.FloatType, value: float) -> bool:
    """Whether a number keeps the limits of its type."""
    return (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
    )
