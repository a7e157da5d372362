"""The players by name, and what goes with what.

A harness is a way to choose moves; an evaluator values positions for it. A participant, the unit that has a rating, is a model, a
harness and its settings; `ringrift.events.participants` names it after the `Seat` that a player sits at.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ringrift.rules.config import Config
from ringrift.search import game_tree as gt
from ringrift.search.players import Evaluate, Player, SearchOptions, TreePlayer

SHARP: Final = 1e4
"""logits a unit of value for the greedy heuristic: moves whose values differ by less than about 1e-4 are drawn by lot"""

PRIOR: Final = 20.0
"""logits a unit of value for the root of a search with the heuristic: 20 to 30 were best of 0 to 30 (hex8_2p, 32 simulations; with
equal logits the sampled root moves are a random sixth of all, and 10 already scored 72 % against that)"""


class HarnessError(ValueError):
    """A player that cannot be made: an unknown harness, or parts that do not go together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a player is made of.

    evaluator    "network" (needs `evaluate`), "heuristic" or "none"
    simulations  search budget a decision; 0 for harnesses that do not search
    considered   moves sampled at the root
    noise_plies  plies at the start of a game in which moves are sampled; afterwards the best one is played
    threads      threads for the compiled part; None: all cores of this process
    """

    evaluator: str
    simulations: int = 0
    considered: int = 16
    noise_plies: int = 0
    threads: int | None = None
    evaluate: Evaluate | None = None


@dataclass(frozen=True, slots=True)
class Harness:
    """One way to choose moves: the evaluators it can use, whether it has a budget, the numbers of seats, how it is made."""

    evaluators: tuple[str, ...]
    searches: bool
    make: Callable[[Config, Setup], Player]
    seats: tuple[int, ...] = (2, 3, 4)


def _gumbel(config: Config, setup: Setup) -> Player:
    kind = gt.NETWORK if setup.evaluator == "network" else gt.HEURISTIC
    options = SearchOptions(
        simulations=setup.simulations,
        considered=setup.considered,
        noise_plies=setup.noise_plies,
        lookahead=PRIOR if kind == gt.HEURISTIC else 0.0,
        threads=_threads(setup),
    )
    return TreePlayer(config, kind, options, evaluate=setup.evaluate)


def _policy(config: Config, setup: Setup) -> Player:
    options = SearchOptions(simulations=0, noise_plies=setup.noise_plies, threads=_threads(setup))
    return TreePlayer(config, gt.NETWORK, options, evaluate=setup.evaluate)


def _heuristic(config: Config, setup: Setup) -> Player:
    return TreePlayer(config, gt.HEURISTIC, SearchOptions(simulations=0, lookahead=SHARP, threads=_threads(setup)))


def _random(config: Config, setup: Setup) -> Player:
    return TreePlayer(config, gt.NULL, SearchOptions(simulations=0, threads=_threads(setup)))


HARNESSES: Final[Mapping[str, Harness]] = {
    "gumbel": Harness(("network", "heuristic"), True, _gumbel),
    "policy": Harness(("network",), False, _policy),
    "heuristic": Harness(("heuristic",), False, _heuristic),
    "random": Harness(("none",), False, _random),
}


def make_player(config: Config, name: str, setup: Setup) -> Player:
    """The player `name` made of `setup`. Raises HarnessError that names what does not go together and what would."""
    harness = HARNESSES.get(name)
    if harness is None:
        raise HarnessError(f"unknown harness {name!r}; there are {', '.join(HARNESSES)}")
    if config.seats not in harness.seats:
        raise HarnessError(f"harness {name} plays with {' or '.join(map(str, harness.seats))} seats, not {config.seats}")
    if setup.evaluator not in harness.evaluators:
        raise HarnessError(f"harness {name} needs evaluator {' or '.join(harness.evaluators)}, not {setup.evaluator!r}")
    if (setup.evaluator == "network") != (setup.evaluate is not None):
        raise HarnessError(f"harness {name}: a network goes with evaluator 'network' and with no other")
    if (setup.simulations > 0) != harness.searches:
        need = "at least 1 simulation" if harness.searches else "0 simulations: it does not search"
        raise HarnessError(f"harness {name} needs {need}, not {setup.simulations}")
    return harness.make(config, setup)


def _threads(setup: Setup) -> int:
    return setup.threads if setup.threads is not None else len(os.sched_getaffinity(0))
