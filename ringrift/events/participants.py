"""Names of participants, the units that have a rating: `<model>:<harness>:<config>`.

    c0ffee000000:gumbel:s64            a network (12 digits of its SHA-256), Gumbel search, 64
    simulations a decision c0ffee000000:gumbel:s64-1f2e3d     the same with another option, such as
    noise in the opening baseline:heuristic:s0              no network, no search

The config is readable as far as it is usual: `s` and the budget. Any other option of the seat that
is not at its default adds the first 6 digits of a SHA-256 over all such options. Since defaults of
`Seat` never change, equal names mean equal play, and the names in logs written before options were
recorded are those of the same players: their ratings go on."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec.structs import replace

from ringrift.events.facts import Seat

MODEL_DIGITS = 12
"""48 bits: two of a million networks share a name with a chance of 1 in 500"""
CONFIG_DIGITS = 6
"""24 bits tell the few configs of one network, harness and budget apart"""
BASELINE = "baseline"
_NAMED = frozenset({"participant", "harness", "model", "simulations"})
"""fields that the readable parts tell, or that are the name itself"""
_USUAL = {
    field.name: field.default for field in msgspec.structs.fields(Seat) if field.name not in _NAMED
}


def seat(
    harness: str,
    *,
    model: str | None = None,
    simulations: int = 0,
    evaluator: str | None = None,
    **options: int,
) -> Seat:
    """A seat with its participant's name; `evaluator` defaults to the usual one, `options` are the
    further fields of `Seat`.

    Raises msgspec.ValidationError for a value that no seat can have."""
    fields: dict[str, Any] = {
        "participant": "",
        "harness": harness,
        "model": model,
        "simulations": simulations,
        "evaluator": evaluator or usual_evaluator(harness, model),
        **options,
    }
    made = msgspec.convert(fields, Seat)
    return replace(made, participant=participant(made))


def participant(seat: Seat) -> str:
    """The name that the options of `seat` give it; what it is called now does not matter."""
    model = seat.model[:MODEL_DIGITS] if seat.model else BASELINE
    unusual = unusual_options(seat)
    digest = hashlib.sha256(msgspec.json.encode(unusual, order="sorted")).hexdigest()[
        :CONFIG_DIGITS
    ]
    return f"{model}:{seat.harness}:s{seat.simulations}{f'-{digest}' if unusual else ''}"


def usual_evaluator(harness: str, model: str | None) -> str:
    """What values positions for a harness when nothing else is said: the network if there is one,
    else the heuristic."""
    return "network" if model else "none" if harness == "random" else "heuristic"


def unusual_options(seat: Seat) -> dict[str, Any]:
    """Options of a seat, by name, that the readable part of its participant does not tell."""
    usual = {**_USUAL, "evaluator": usual_evaluator(seat.harness, seat.model)}
    return {
        name: value for name, default in usual.items() if (value := getattr(seat, name)) != default
    }
