"""The players by name, and what goes with what.

A harness is a way to choose moves; an evaluator values positions for it. A participant, the unit
that has a rating, is a model, a harness and its settings; `ringrift.events.participants` names it
after the `Seat` that a player sits at."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ringrift.nets.nnue.inference import Network
from ringrift.rules.config import Config
from ringrift.search import depth_first as df
from ringrift.search import game_tree as gt
from ringrift.search.depth_first_player import DepthFirstOptions, DepthFirstPlayer
from ringrift.search.descent_player import DescentOptions, DescentPlayer
from ringrift.search.players import Evaluate, Player, SearchOptions, TreePlayer

SHARP: Final = 1e4
"""logits a unit of value for the greedy heuristic: moves whose values differ by less than about
1e-4 are drawn by lot"""

PRIOR: Final = 20.0
"""logits a unit of value for the root of a search with the heuristic: 20 to 30 were best of 0 to 30
(hex8_2p, 32 simulations; with equal logits the sampled root moves are a random sixth of all, and 10
already scored 72 % against that)"""


LOCKSTEP: Final = 128
"""games that advance together: a batch of 64 to 128 leaves keeps a network's cost a position low on
a CPU"""

LOCKSTEP_GPU: Final = 4096
"""the same where a GPU has to be kept busy: what the evaluator takes at once"""

SIMULATIONS: Final = (8, 32, 128, 512)
"""budgets four times those below: doublings won 47 to 76 of 100 games on square8_2p, most of them
too few to tell"""

POSITIONS: Final = (32, 256, 2048)
"""budgets of searches that look at every move: a turn has 30 to 150, so that a doubling seldom
reaches the next depth"""

MODEL_KINDS: Final[Mapping[str, tuple[str, bool]]] = {
    "network": ("network", True),
    "nnue": ("nnue", False),
    "nnue_policy": ("nnue", True),
    "none": ("", False),
}
"""Kinds of models: the evaluator they are, and whether they have a policy. `none`: no model, but
the handcrafted heuristic."""

EVALUATED: Final = ("network", "nnue")  # evaluators that come with a model


class HarnessError(ValueError):
    """A player that cannot be made: an unknown harness, or parts that do not go together."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A network at work.

    evaluate     values and logits for a batch of positions
    policy       whether its logits mean something
    nnue         the weights of an NNUE, for compiled searches; None: it is none
    """

    evaluate: Evaluate
    policy: bool = True
    nnue: Network | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a player is made of.

    evaluator    "network" or "nnue" (need a `model`), "heuristic" or "none" simulations  search
    budget a decision; 0 for harnesses that do not search. Gumbel: simulations; depth-first and
    descent:
                 positions looked at, but always all moves of the root
    considered   moves sampled at the root (Gumbel) noise_plies  plies at the start of a game in
    which moves are sampled; afterwards the best one is played (Gumbel and policy) threads
    threads for the compiled part; None: all cores of this process"""

    evaluator: str
    simulations: int = 0
    considered: int = 16
    noise_plies: int = 0
    threads: int | None = None
    model: Model | None = None

    @property
    def evaluate(self) -> Evaluate | None:
        """Of the model, if there is one."""
        return self.model.evaluate if self.model else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Harness:
    """One way to choose moves.

    title       what it is, in a line evaluators  those it can use policy      whether a model needs
    a policy for it make        makes the player ladder      ascending budgets that tell what more
    of it buys; none: it does not search seats       numbers of seats it plays with lockstep
    games that advance together in self-play and matches, unless the caller says otherwise"""

    title: str
    evaluators: tuple[str, ...]
    policy: bool
    make: Callable[[Config, Setup], Player]
    ladder: tuple[int, ...] = ()
    seats: tuple[int, ...] = (2, 3, 4)
    lockstep: int = LOCKSTEP

    @property
    def searches(self) -> bool:
        """Whether it has a budget."""
        return bool(self.ladder)


def _gumbel(config: Config, setup: Setup) -> Player:
    kind = _kind(setup)
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
    return TreePlayer(
        config, gt.HEURISTIC, SearchOptions(simulations=0, lookahead=SHARP, threads=_threads(setup))
    )


def _random(config: Config, setup: Setup) -> Player:
    return TreePlayer(config, gt.NULL, SearchOptions(simulations=0, threads=_threads(setup)))


def _depth_first(kind: int) -> Callable[[Config, Setup], Player]:
    def make(config: Config, setup: Setup) -> Player:
        options = DepthFirstOptions(kind=kind, nodes=setup.simulations, threads=_threads(setup))
        if setup.evaluator == "nnue" and setup.model:
            return DepthFirstPlayer(config, gt.NNUE, options, network=setup.model.nnue)
        return DepthFirstPlayer(config, _kind(setup), options, evaluate=setup.evaluate)

    return make


def _descent(config: Config, setup: Setup) -> Player:
    options = DescentOptions(nodes=setup.simulations, threads=_threads(setup))
    return DescentPlayer(config, _kind(setup), options, evaluate=setup.evaluate)


def _kind(setup: Setup) -> int:
    return gt.NETWORK if setup.evaluator in EVALUATED else gt.HEURISTIC


HARNESSES: Final[Mapping[str, Harness]] = {
    "gumbel": Harness(
        title="Gumbel AlphaZero search; its improved policy is what networks learn from",
        evaluators=("network", "heuristic"),
        policy=True,
        make=_gumbel,
        ladder=SIMULATIONS,
    ),
    "gpu_gumbel": Harness(
        title="the same search with thousands of games in lockstep, for self-play that keeps a GPU busy",
        evaluators=("network", "heuristic"),
        policy=True,
        make=_gumbel,
        ladder=SIMULATIONS,
        lockstep=LOCKSTEP_GPU,
    ),
    "minimax": Harness(
        title="alpha-beta with iterative deepening and a transposition table; fast evaluations",
        evaluators=("network", "nnue", "heuristic"),
        policy=False,
        make=_depth_first(df.MINIMAX),
        ladder=POSITIONS,
        seats=(2,),
    ),
    "maxn": Harness(
        title="max-n: every seat takes the best for itself",
        evaluators=("network", "nnue", "heuristic"),
        policy=False,
        make=_depth_first(df.MAXN),
        ladder=POSITIONS,
        seats=(3, 4),
    ),
    "brs": Harness(
        title="best-reply search: of all opponents only the one answers that hurts most, so it looks further than max-n",
        evaluators=("network", "nnue", "heuristic"),
        policy=False,
        make=_depth_first(df.BRS),
        ladder=POSITIONS,
        seats=(3, 4),
    ),
    "policy": Harness(
        title="the bare policy of a model, without search: baseline and fastest play",
        evaluators=("network", "nnue"),
        policy=True,
        make=_policy,
    ),
    "descent": Harness(
        title="best-first search that grows the tree along the best lines and solves endgames; research",
        evaluators=("network", "heuristic"),
        policy=True,
        make=_descent,
        ladder=POSITIONS,
    ),
    "heuristic": Harness(
        title="the best move by the handcrafted evaluation, one move ahead; baseline and anchor of ratings",
        evaluators=("heuristic",),
        policy=False,
        make=_heuristic,
    ),
    "random": Harness(
        title="any legal move; the floor of ratings",
        evaluators=("none",),
        policy=False,
        make=_random,
    ),
}


def compatible(model_kind: str, seats: int) -> tuple[str, ...]:
    """The harnesses that can play a game of `seats` with a model of that kind, one of MODEL_KINDS.
    Raises HarnessError."""
    if model_kind not in MODEL_KINDS:
        raise HarnessError(
            f"unknown kind of model {model_kind!r}; there are {', '.join(MODEL_KINDS)}"
        )
    evaluator, policy = MODEL_KINDS[model_kind]
    evaluators = {evaluator} if evaluator else {"heuristic", "none"}
    return tuple(
        name
        for name, harness in HARNESSES.items()
        if seats in harness.seats
        and evaluators & set(harness.evaluators)
        and (policy or not harness.policy or not evaluator)
    )


def make_player(config: Config, name: str, setup: Setup) -> Player:
    """The player `name` made of `setup`. Raises HarnessError that names what does not go together
    and what would."""
    harness = HARNESSES.get(name)
    if harness is None:
        raise HarnessError(f"unknown harness {name!r}; there are {', '.join(HARNESSES)}")
    if config.seats not in harness.seats:
        raise HarnessError(
            f"harness {name} plays with {' or '.join(map(str, harness.seats))} seats, not {config.seats}"
        )
    if setup.evaluator not in harness.evaluators:
        raise HarnessError(
            f"harness {name} needs evaluator {' or '.join(harness.evaluators)}, not {setup.evaluator!r}"
        )
    if (setup.evaluator in EVALUATED) != (setup.model is not None):
        raise HarnessError(
            f"harness {name}: a network goes with evaluator 'network' or 'nnue' and with no other"
        )
    if setup.evaluator == "nnue" and setup.model and setup.model.nnue is None:
        raise HarnessError(f"harness {name}: the model is no NNUE; its evaluator is 'network'")
    if (
        harness.policy and not harness.searches and setup.model and not setup.model.policy
    ):  # a search has the values to go by
        raise HarnessError(
            f"harness {name} needs a model with a policy; without one play {_names_without_policy(setup, config)}"
        )
    if (setup.simulations > 0) != harness.searches:
        need = "at least 1 simulation" if harness.searches else "0 simulations: it does not search"
        raise HarnessError(f"harness {name} needs {need}, not {setup.simulations}")
    return harness.make(config, setup)


def _names_without_policy(setup: Setup, config: Config) -> str:
    """Harnesses for a model like that of `setup`."""
    kinds = {"nnue", setup.evaluator}
    fit = [
        name
        for name, h in HARNESSES.items()
        if kinds & set(h.evaluators) and config.seats in h.seats and not h.policy
    ]
    return " or ".join(fit)


def _threads(setup: Setup) -> int:
    return setup.threads if setup.threads is not None else len(os.sched_getaffinity(0))
