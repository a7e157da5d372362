"""The tiers D1 to D10: fixed opponents of rising strength that need no network (requirement G09.11).

A tier is a harness and a budget of simulations, never a time limit, so it is as strong on every machine, and on a busy one. The
first two are the baselines every network meets anyway; from D3 on Gumbel search with the handcrafted heuristic at the leaves
gets twice the budget of the tier below. `ringrift strength --ladder` measures what a doubling buys; `ringrift gauntlet --tiers`
lets a network climb.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ringrift.events.facts import Seat
from ringrift.events.participants import seat

FIRST_BUDGET: Final = 8
"""simulations of D3: fewer than 8 leave sequential halving with hardly a second look at any of its 16 sampled moves"""


class Tier(NamedTuple):
    """`name` such as D4, and who plays it."""

    name: str
    seat: Seat


TIERS: Final = (
    Tier("D1", seat("random")),
    Tier("D2", seat("heuristic")),
    *(Tier(f"D{number}", seat("gumbel", simulations=FIRST_BUDGET << (number - 3))) for number in range(3, 11)),
)
