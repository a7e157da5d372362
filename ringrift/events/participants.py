"""Names of participants, the units that have a rating: `<model>:<harness>:<config>`.

- `c0ffee000000:gumbel:s64`: a network (12 digits of its SHA-256), Gumbel search, 64 simulations per
  decision
- `c0ffee000000:gumbel:s64-1f2e3d`: the same with another option, such as noise in the opening
- `baseline:heuristic:s0`: no network, no search

The config shows the budget after `s`. Options of the seat that differ from their defaults add the
first 6 digits of a SHA-256 over all of them. The defaults of `Seat` never change, so equal names
mean equal play, also in logs that are older than an option."""

import hashlib

import msgspec
from msgspec.structs import fields, replace

from ringrift.events.facts import Seat

MODEL_DIGITS = 12
"""48 bits: among a million networks two share a name with a probability of 1 in 500"""
CONFIG_DIGITS = 6
"""24 bits distinguish the few configs of one network, harness and budget"""
BASELINE = "baseline"
MINIMAX_SEATS = 2
POSITIONS_A_SIMULATION = 8
"""positions of a depth-first search in place of one simulation: their ladders of budgets differ by
this, and a simulation of Gumbel search takes about three times as long"""
_IN_NAME = frozenset({"participant", "harness", "model", "simulations"})
_DEFAULTS = {field.name: field.default for field in fields(Seat) if field.name not in _IN_NAME}


def seat(
    harness: str,
    *,
    model: str | None = None,
    simulations: int = 0,
    evaluator: str | None = None,
    **options: int,
) -> Seat:
    """A seat named after its options; `options` are further fields of `Seat`.

    Raises msgspec.ValidationError for an invalid value."""
    given = {"participant": "-", "harness": harness, "model": model, "simulations": simulations}
    evaluator = evaluator or usual_evaluator(harness, model)
    # converted rather than constructed, so that the values are validated
    unnamed = msgspec.convert({**given, "evaluator": evaluator, **options}, Seat)
    return replace(unnamed, participant=participant(unnamed))


def kind_of(architecture: str) -> str:
    """Kind of model of an architecture, one of `ringrift.search.harness.MODEL_KINDS`. Names say it,
    so that it is known without the code of the architecture."""
    if not architecture.startswith("nnue"):
        return "network"
    return "nnue_policy" if architecture.startswith("nnue_policy") else "nnue"


def network_seat(
    model: str, simulations: int, *, kind: str = "network", seats: int = 2, **options: int
) -> Seat:
    """The seat by which the loop plays a network in games of `seats`: Gumbel search, or minimax or
    max-n if it has no policy; `options` are those of Gumbel search."""
    if kind != "nnue":
        evaluator = "network" if kind == "network" else "nnue"
        options = {"simulations": simulations, **options}
        return seat("gumbel", model=model, evaluator=evaluator, **options)
    harness = "minimax" if seats == MINIMAX_SEATS else "maxn"
    positions = simulations * POSITIONS_A_SIMULATION
    return seat(harness, model=model, evaluator="nnue", simulations=positions)


def harnesses_of(kind: str, seats: int) -> tuple[str, ...]:
    """The harnesses by which a network of a kind can be played in games of `seats`, but for
    `gpu_gumbel`, which is the same search as `gumbel`."""
    depth_first = ("minimax",) if seats == MINIMAX_SEATS else ("maxn", "brs")
    if kind == "nnue":
        return depth_first
    return ("gumbel", "puct", "policy", *depth_first, *(("descent",) if kind == "network" else ()))


def participant(seat: Seat) -> str:
    """The name that follows from the options of `seat`, whatever its present name."""
    model = seat.model[:MODEL_DIGITS] if seat.model else BASELINE
    name = f"{model}:{seat.harness}:s{seat.simulations}"
    usual = {**_DEFAULTS, "evaluator": usual_evaluator(seat.harness, seat.model)}
    options = {option: getattr(seat, option) for option in usual}
    unusual = {option: value for option, value in options.items() if value != usual[option]}
    if not unusual:
        return name
    digest = hashlib.sha256(msgspec.json.encode(unusual, order="sorted")).hexdigest()
    return f"{name}-{digest[:CONFIG_DIGITS]}"


def usual_evaluator(harness: str, model: str | None) -> str:
    """Default evaluator of a harness: the network if there is one, else the heuristic."""
    if model:
        return "network"
    return "none" if harness == "random" else "heuristic"
