"""Who meets whom: the matches that measure a network, a budget or a harness, from the registry of harnesses.

A harness is known by what the registry says of it, never by its name; one that is added there is measured without a change here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Final, NamedTuple

from ringrift.events.facts import Seat
from ringrift.events.participants import seat
from ringrift.rules.config import Config
from ringrift.search.harness import HARNESSES

RANDOM, HEURISTIC = seat("random"), seat("heuristic")
AGAINST: Final = ("random", "heuristic", "self2")
"""opponents of a network: random play, the heuristic without search, and itself with twice the budget"""


class Pairing(NamedTuple):
    """A match to be played."""

    candidate: Seat
    opponent: Seat


def strength(model: str, simulations: int, against: Sequence[str] = AGAINST) -> list[Pairing]:
    """How strong is a network? Gumbel search with a budget against `against`, and the bare policy against random play."""
    me = seat("gumbel", model=model, simulations=simulations)
    opponents = {"random": RANDOM, "heuristic": HEURISTIC, "self2": seat("gumbel", model=model, simulations=2 * simulations)}
    found = [Pairing(me, opponents[name]) for name in AGAINST if name in against]
    if "random" in against:
        found.append(Pairing(seat("policy", model=model), RANDOM))
    return found


def ladder(config: Config, budgets: Sequence[int], *, model: str | None = None, evaluator: str = "network") -> list[Pairing]:
    """What does budget buy? Every searching harness with each of the ascending `budgets` against itself with the one below.

    With the heuristic at the leaves where the harness can use it, and with `model` where it can use its `evaluator`."""
    players: list[tuple[str, str | None]] = []
    for name, harness in HARNESSES.items():
        if harness.searches and config.seats in harness.seats:
            players += [(name, None)] if "heuristic" in harness.evaluators else []
            players += [(name, model)] if model and evaluator in harness.evaluators else []
    return [
        Pairing(_searching(name, network, more, evaluator), _searching(name, network, less, evaluator))
        for name, network in players
        for less, more in pairwise(budgets)
    ]


def compatible(config: Config, model: str, simulations: int, *, evaluator: str = "network") -> list[Seat]:
    """The seats of a network under every harness that can use it at this number of seats (requirement G09.06)."""
    return [
        seat(name, model=model, simulations=simulations if harness.searches else 0, evaluator=evaluator)
        for name, harness in HARNESSES.items()
        if evaluator in harness.evaluators and config.seats in harness.seats
    ]


def gauntlet(config: Config, model: str, simulations: int, *, evaluator: str = "network") -> list[Pairing]:
    """Every participant that can be made of a network against random play and the heuristic."""
    players = compatible(config, model, simulations, evaluator=evaluator)
    return [Pairing(me, baseline) for me in players for baseline in (RANDOM, HEURISTIC)]


def round_robin(models: Sequence[str], simulations: int) -> Iterator[Pairing]:
    """Every two of the networks, by Gumbel search (requirement G09.12)."""
    for one, other in combinations([seat("gumbel", model=model, simulations=simulations) for model in models], 2):
        yield Pairing(one, other)


def _searching(name: str, model: str | None, simulations: int, evaluator: str) -> Seat:
    return seat(name, model=model, simulations=simulations, evaluator=evaluator if model else "heuristic")
