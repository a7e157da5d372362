"""Pairings: the matches that measure a network, a budget or a harness.

They are derived from the properties of the harnesses in the registry, so that a new harness is
measured without a change here."""

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Final, NamedTuple

from ringrift.events.facts import Seat
from ringrift.events.participants import network_seat, seat
from ringrift.rules.config import Config
from ringrift.search.harness import HARNESSES, MODEL_KINDS, compatible

RANDOM, HEURISTIC = seat("random"), seat("heuristic")
AGAINST: Final = ("random", "heuristic", "self2")
"""Opponents of a network: random play, the heuristic without search, and itself with twice the
budget."""


FIRST_BUDGET: Final = 8
"""Simulations of D3: with 8 the search is about as strong as the heuristic without search."""
TIERS: Final = {"D1": RANDOM, "D2": HEURISTIC} | {
    f"D{number}": seat("gumbel", simulations=FIRST_BUDGET << (number - 3))
    for number in range(3, 11)
}
"""The tiers D1 to D10: fixed opponents of rising strength that need no network (requirement
G09.11).

A tier is a harness and a budget of simulations, never a time limit, so that its strength does not
depend on the machine or its load. The first two are the baselines that every network is evaluated
against; from D3 on, Gumbel search with the handcrafted heuristic has twice the budget of the tier
below.

Measured on hex8_2p, 100 games each: D3 against D2 51 %, each doubling from 8 to 512 simulations 50
to 56 %, but 128 simulations against 8 won 64 % (54 to 73). So neighbouring tiers are close, and the
ladder as a whole rises. `ringrift strength --ladder` measures it for every searching harness; one
that rises faster should play the upper tiers."""


class Pairing(NamedTuple):
    """The seats of a match to play."""

    candidate: Seat
    opponent: Seat


def strength(
    model: str,
    simulations: int,
    against: Sequence[str] = AGAINST,
    *,
    kind: str = "network",
    seats: int = 2,
) -> list[Pairing]:
    """Return the matches that measure a network: its usual search with a budget against `against`,
    and its bare policy, if it has one, against random."""
    me = network_seat(model, simulations, kind=kind, seats=seats)
    opponents = {
        "random": RANDOM,
        "heuristic": HEURISTIC,
        "self2": network_seat(model, 2 * simulations, kind=kind, seats=seats),
    }
    found = [Pairing(me, opponents[name]) for name in AGAINST if name in against]
    if "random" in against and MODEL_KINDS[kind][1]:
        found.append(Pairing(_seated("policy", model, 0, kind), RANDOM))
    return found


def ladder(
    config: Config, budgets: Sequence[int] = (), *, model: str | None = None, kind: str = "network"
) -> list[Pairing]:
    """Return the matches that measure what budget is worth: every searching harness with each of
    the ascending `budgets` (by default those of its own ladder) against itself with the next lower
    one.

    Each harness plays with the heuristic at the leaves, if it can use it, and with `model`, if it
    can use a model of that `kind`."""
    fitting = compatible(kind, config.seats)
    players: list[tuple[str, str | None]] = []
    for name, harness in HARNESSES.items():
        if not harness.searches or config.seats not in harness.seats:
            continue
        if "heuristic" in harness.evaluators:
            players.append((name, None))
        if model and name in fitting:
            players.append((name, model))
    return [
        Pairing(_seated(name, network, more, kind), _seated(name, network, less, kind))
        for name, network in players
        for less, more in pairwise(budgets or HARNESSES[name].ladder)
    ]


def gauntlet(
    config: Config, model: str, simulations: int, *, kind: str = "network"
) -> list[Pairing]:
    """Return the matches of a network under every harness that can use it with this number of seats
    (requirement G09.06) against random play and the heuristic."""
    players = [
        _seated(name, model, simulations if HARNESSES[name].searches else 0, kind)
        for name in compatible(kind, config.seats)
    ]
    return [Pairing(me, baseline) for me in players for baseline in (RANDOM, HEURISTIC)]


def round_robin(models: Mapping[str, str], simulations: int, *, seats: int = 2) -> list[Pairing]:
    """Return the matches of every two networks, given with their kinds, under their usual search
    (requirement G09.12)."""
    found = [
        network_seat(model, simulations, kind=kind, seats=seats) for model, kind in models.items()
    ]
    return [Pairing(one, other) for one, other in combinations(found, 2)]


def _seated(name: str, model: str | None, simulations: int, kind: str) -> Seat:
    evaluator = MODEL_KINDS[kind][0] if model else "heuristic"
    return seat(name, model=model, simulations=simulations, evaluator=evaluator)
