"""Who meets whom: the matches that measure a network, a budget or a harness, from the registry of
harnesses.

A harness is known by what the registry says of it, never by its name; one that is added there is
measured without a change here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Final, NamedTuple

from ringrift.events.facts import Seat
from ringrift.events.participants import seat
from ringrift.nets.shapes import NNUES
from ringrift.rules.config import Config
from ringrift.search.harness import HARNESSES, MODEL_KINDS
from ringrift.search.harness import compatible as harness_names

RANDOM, HEURISTIC = seat("random"), seat("heuristic")
AGAINST: Final = ("random", "heuristic", "self2")
"""opponents of a network: random play, the heuristic without search, and itself with twice the
budget"""


class Pairing(NamedTuple):
    """A match to be played."""

    candidate: Seat
    opponent: Seat


def strength(
    model: str, simulations: int, against: Sequence[str] = AGAINST, *, kind: str = "network"
) -> list[Pairing]:
    """How strong is a network? Gumbel search with a budget against `against`, and its policy alone,
    if any, against random."""
    me = seat("gumbel", model=model, simulations=simulations)
    opponents = {
        "random": RANDOM,
        "heuristic": HEURISTIC,
        "self2": seat("gumbel", model=model, simulations=2 * simulations),
    }
    found = [Pairing(me, opponents[name]) for name in AGAINST if name in against]
    if "random" in against and MODEL_KINDS[kind][1]:
        found.append(Pairing(seat("policy", model=model), RANDOM))
    return found


def ladder(
    config: Config, budgets: Sequence[int] = (), *, model: str | None = None, kind: str = "network"
) -> list[Pairing]:
    """What does budget buy? Every searching harness with each of the ascending `budgets` against
    itself with the one below; without `budgets` with those of its own ladder.

    With the heuristic at the leaves where the harness can use it, and with `model` where it can use
    one of that `kind`."""
    players: list[tuple[str, str | None]] = []
    for name, harness in HARNESSES.items():
        if harness.searches and config.seats in harness.seats:
            players += [(name, None)] if "heuristic" in harness.evaluators else []
            players += (
                [(name, model)] if model and name in harness_names(kind, config.seats) else []
            )
    return [
        Pairing(_searching(name, network, more, kind), _searching(name, network, less, kind))
        for name, network in players
        for less, more in pairwise(budgets or HARNESSES[name].ladder)
    ]


def kind_of(architecture: str) -> str:
    """The kind of model, one of `MODEL_KINDS`, that a network of this architecture is."""
    shape = NNUES.get(architecture)
    return "network" if shape is None else "nnue_policy" if shape.policy else "nnue"


def compatible(
    config: Config, model: str, simulations: int, *, kind: str = "network"
) -> list[Seat]:
    """The seats of a network under every harness that can use it at this number of seats
    (requirement G09.06)."""
    return [
        seat(
            name,
            model=model,
            simulations=simulations if HARNESSES[name].searches else 0,
            evaluator=MODEL_KINDS[kind][0],
        )
        for name in harness_names(kind, config.seats)
    ]


def gauntlet(
    config: Config, model: str, simulations: int, *, kind: str = "network"
) -> list[Pairing]:
    """Every participant that can be made of a network against random play and the heuristic."""
    players = compatible(config, model, simulations, kind=kind)
    return [Pairing(me, baseline) for me in players for baseline in (RANDOM, HEURISTIC)]


def round_robin(models: Sequence[str], simulations: int) -> Iterator[Pairing]:
    """Every two of the networks, by Gumbel search (requirement G09.12)."""
    for one, other in combinations(
        [seat("gumbel", model=model, simulations=simulations) for model in models], 2
    ):
        yield Pairing(one, other)


def _searching(name: str, model: str | None, simulations: int, kind: str) -> Seat:
    return seat(
        name,
        model=model,
        simulations=simulations,
        evaluator=MODEL_KINDS[kind][0] if model else "heuristic",
    )
