"""The fields of an event that a person wants to see in one line, and how each is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.events import Fact, facts, type_of

TEXT_MAX = 60
DIGEST_SHOWN = 12
"""digits of a SHA-256: those that also name a participant"""
SHOWN: dict[type[Fact], tuple[str, ...]] = {
    facts.GameCompleted: ("game", "origin", "plies", "winner", "reason"),
    facts.SettingsChanged: ("version", "why"),
    facts.SelfplayPlanned: ("generation", "games", "simulations", "model"),
    facts.SelfplayFinished: ("generation", "ticket", "games", "plies", "play_seconds"),
    facts.ShardExported: (
        "index",
        "first_seq",
        "last_seq",
        "games",
        "samples",
        "rejected",
        "digest",
    ),
    facts.TrainingRequested: (
        "generation",
        "architecture",
        "shards",
        "samples",
        "parent",
        "reason",
    ),
    facts.TrainingProgressed: (
        "generation",
        "step",
        "steps",
        "loss",
        "validation_loss",
        "samples_per_second",
    ),
    facts.TrainingFinished: (
        "generation",
        "model",
        "steps",
        "loss",
        "validation_loss",
        "train_seconds",
    ),
    facts.ModelRegistered: ("generation", "model", "architecture", "parameters"),
    facts.ModelDerived: ("model", "architecture", "parents", "method"),
    facts.EvaluationRequested: (
        "generation",
        "purpose",
        "round",
        "candidate",
        "opponent",
        "starts",
    ),
    facts.EvaluationScored: (
        "generation",
        "purpose",
        "round",
        "candidate",
        "opponent",
        "wins",
        "games",
    ),
    facts.RatingsUpdated: ("games", "ratings"),
    facts.ModelPromoted: ("generation", "model", "why"),
    facts.PromotionRejected: ("generation", "model", "why"),
}
"""Types not listed show all their fields."""


def important(event: Fact) -> Iterator[tuple[str, str]]:
    """Names and texts of the fields worth a line; what is None, or in the subject already, is left
    out."""
    scope = type_of(event).scope
    for name in SHOWN.get(type(event), event.__struct_fields__):
        value = getattr(event, name)
        if value is not None and name != scope:
            yield name, field_text(value)


def field_text(value: Any) -> str:
    """A value in a few characters."""
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case str() if len(value) == 64 and set(value) <= set("0123456789abcdef"):
            return value[:DIGEST_SHOWN]
        case str():
            short = value if len(value) <= TEXT_MAX else value[: TEXT_MAX - 1] + "…"
            return f'"{short}"' if " " in short else short
        case facts.Seat():
            return value.participant
        case facts.Rating():
            return f"{value.participant}:{value.elo:+.0f}"
        case bytes():
            return f"{len(value)}B"
        case tuple():
            shown = [field_text(item) for item in value[:3]]
            return f"[{', '.join(shown)}{f', … {len(value)} in all' if len(value) > 3 else ''}]"
        case Struct():
            return field_text(msgspec.json.encode(value).decode())
    return str(value)
