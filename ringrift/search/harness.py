"""The players by name, and which parts go together.

A harness is a way to choose moves; an evaluator values positions for it. A participant, the unit
that has a rating, is a model, a harness and its settings; `ringrift.events.participants` names it
after the `Seat` that a player takes.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ringrift.errors import Permanent
from ringrift.rules.config import Config
from ringrift.search.players import Evaluate, Explainer

# Compiled code is imported where a player is made, so that listing harnesses does not load numba.
if TYPE_CHECKING:
    from ringrift.nets.nnue.policy import Weights

SHARP: Final = 1e4
"""Logits per unit of value for the greedy heuristic: moves whose values differ by less than about
1e-4 are chosen at random."""

PRIOR: Final = 20.0
"""Logits per unit of value for the root of a search with the heuristic: 20 to 30 were best of 0 to
30 (hex8_2p, 32 simulations). With equal logits the sampled root moves are a random sixth of all,
and 10 already scored 72 % against that."""

LOCKSTEP: Final = 128
"""Games that advance together: a batch of 64 to 128 leaves keeps the cost of a network per position
low on a CPU."""

LOCKSTEP_GPU: Final = 4096
"""The same to keep a GPU busy: what the evaluator takes at once."""

SIMULATIONS: Final = (8, 32, 128, 512)
"""Budgets in steps of four: doublings won 47 to 76 of 100 games on square8_2p, most of them too few
to be significant."""

POSITIONS: Final = (32, 256, 2048)
"""Budgets of searches that look at every move: a turn has 30 to 150, so a doubling seldom reaches
the next depth."""

SIMULATIONS_A_ROOT_MOVE: Final = 4
ROOT_MOVES_MIN: Final = 2
"""With 16 moves at any budget, 16 simulations of a network scored 58 % against the heuristic on
hex8_2p, with a quarter of the budget 83 %."""

MODEL_KINDS: Final[Mapping[str, tuple[str, bool]]] = {
    "network": ("network", True),
    "nnue": ("nnue", False),
    "nnue_policy": ("nnue", True),
    "none": ("", False),
}
"""Kinds of models: the evaluator they are, and whether they have a policy. `none`: no model, but
the handcrafted heuristic."""

EVALUATED: Final = ("network", "nnue")  # evaluators that come with a model


class HarnessError(ValueError, Permanent):
    """No player can be made: the harness is unknown, or the parts do not go together."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A network in use.

    evaluate  values and logits for a batch of positions
    policy    whether its logits are a policy
    nnue      the weights of an NNUE, for compiled code; None for other networks
    gpu       whether it runs on a GPU
    """

    evaluate: Evaluate
    policy: bool = True
    nnue: "Weights | None" = None
    gpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The parts of a player.

    evaluator    "network" or "nnue" (both need a `model`), "heuristic" or "none"
    simulations  budget of a decision; 0 for harnesses that do not search. Gumbel: simulations;
                 depth-first and descent: positions, but always all moves of the root
    considered   moves sampled at the root, at most (Gumbel); `root_moves` has the other limit
    noise_plies  plies at the start of a game in which moves are sampled; afterwards the best one is
                 played (Gumbel and policy)
    threads      threads for the compiled part; None: all cores of this process
    """

    evaluator: str
    simulations: int = 0
    considered: int = 16
    noise_plies: int = 0
    threads: int | None = None
    model: Model | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Harness:
    """One way to choose moves.

    title       one line of description
    evaluators  those it can use
    policy      whether a model needs a policy for it
    ladder      ascending budgets to compare; empty: it does not search
    seats       numbers of seats it plays with
    lockstep    games that advance together in self-play and matches, by default
    """

    title: str
    evaluators: tuple[str, ...]
    policy: bool = False
    ladder: tuple[int, ...] = ()
    seats: tuple[int, ...] = (2, 3, 4)
    lockstep: int = LOCKSTEP

    @property
    def searches(self) -> bool:
        """Whether it has a budget."""
        return bool(self.ladder)


HARNESSES: Final[Mapping[str, Harness]] = {
    "gumbel": Harness(
        title="Gumbel AlphaZero search; networks learn from its improved policy",
        evaluators=("network", "nnue", "heuristic"),
        policy=True,
        ladder=SIMULATIONS,
    ),
    "gpu_gumbel": Harness(
        title="the same search with thousands of games in lockstep, to keep a GPU busy",
        evaluators=("network", "heuristic"),
        policy=True,
        ladder=SIMULATIONS,
        lockstep=LOCKSTEP_GPU,
    ),
    "puct": Harness(
        title="the search of AlphaZero: PUCT, noise at the root, visits as the policy; a baseline",
        evaluators=("network", "nnue", "heuristic"),
        policy=True,
        ladder=SIMULATIONS,
    ),
    "minimax": Harness(
        title="alpha-beta with iterative deepening and a transposition table, for fast evaluators",
        evaluators=("network", "nnue", "heuristic"),
        ladder=POSITIONS,
        seats=(2,),
    ),
    "maxn": Harness(
        title="max-n: every seat maximizes its own value",
        evaluators=("network", "nnue", "heuristic"),
        ladder=POSITIONS,
        seats=(3, 4),
    ),
    "brs": Harness(
        title="best-reply search: only the most harmful opponent replies; looks further than max-n",
        evaluators=("network", "nnue", "heuristic"),
        ladder=POSITIONS,
        seats=(3, 4),
    ),
    "policy": Harness(
        title="the bare policy of a model, without search: baseline and fastest play",
        evaluators=("network", "nnue"),
        policy=True,
    ),
    "descent": Harness(
        title="best-first search along the best lines that solves endgames; research",
        evaluators=("network", "heuristic"),
        policy=True,
        ladder=POSITIONS,
    ),
    "heuristic": Harness(
        title="the best move by the handcrafted evaluation, one move ahead; baseline of ratings",
        evaluators=("heuristic",),
    ),
    "random": Harness(title="any legal move; the floor of ratings", evaluators=("none",)),
}


def compatible(model_kind: str, seats: int) -> tuple[str, ...]:
    """Return the harnesses that can play a game of `seats` with a model of this kind.

    `model_kind` is one of MODEL_KINDS; otherwise HarnessError is raised."""
    if model_kind not in MODEL_KINDS:
        kinds = ", ".join(MODEL_KINDS)
        raise HarnessError(f"unknown kind of model {model_kind!r}; the kinds are {kinds}")
    evaluator, policy = MODEL_KINDS[model_kind]
    evaluators = {evaluator} if evaluator else {"heuristic", "none"}
    return tuple(
        name
        for name, harness in HARNESSES.items()
        if seats in harness.seats
        and evaluators & set(harness.evaluators)
        and (policy or not harness.policy or not evaluator)
    )


def root_moves(most: int, simulations: int) -> int:
    """Return how many moves to sample at the root for a budget: with few simulations for each, the
    search would choose by the values of single leaves and not by the policy."""
    return min(most, max(ROOT_MOVES_MIN, simulations // SIMULATIONS_A_ROOT_MOVE))


def kind_of(model: Model | None) -> str:
    """Return the kind of a model, one of MODEL_KINDS."""
    if model is None:
        return "none"
    if model.nnue is None:
        return "network"
    return "nnue_policy" if model.policy else "nnue"


def make_player(config: Config, name: str, setup: Setup) -> Explainer:
    """Return the player `name` made of `setup`.

    Raises HarnessError with what does not go together and what would."""
    if problem := _problem(config, name, setup):
        raise HarnessError(problem)
    return _made(config, name, setup)


def _problem(config: Config, name: str, setup: Setup) -> str:
    """Return what does not go together, and what would; empty if all does."""
    harness = HARNESSES.get(name)
    if harness is None:
        return f"unknown harness {name!r}; the harnesses are {', '.join(HARNESSES)}"
    if config.seats not in harness.seats:
        seats = " or ".join(map(str, harness.seats))
        return f"harness {name} plays with {seats} seats, not {config.seats}"
    if setup.evaluator not in harness.evaluators:
        needed = " or ".join(harness.evaluators)
        return f"harness {name} needs evaluator {needed}, not {setup.evaluator!r}"
    model = setup.model
    if (setup.evaluator in EVALUATED) != (model is not None):
        need = "evaluators 'network' and 'nnue' need a network, others take none"
        return f"harness {name}: {need}"
    kind = kind_of(model)
    if model and MODEL_KINDS[kind][0] != setup.evaluator:
        fit = f"the model is a {kind}, for evaluator {MODEL_KINDS[kind][0]!r}"
        return f"harness {name}: {fit}, not {setup.evaluator!r}"
    if name not in compatible(kind, config.seats):
        fit = " or ".join(compatible(kind, config.seats))
        return f"harness {name} needs a model with a policy; without one use {fit}"
    if (setup.simulations > 0) != harness.searches:
        least = "at least 1 simulation"
        need = least if harness.searches else "0 simulations, as it does not search"
        return f"harness {name} needs {need}; got {setup.simulations}"
    return ""


def _made(config: Config, name: str, setup: Setup) -> Explainer:
    # imported here, so that listing harnesses does not load numba
    from ringrift.search import values
    from ringrift.search.depth_first import stack
    from ringrift.search.depth_first.player import DepthFirstSearch
    from ringrift.search.descent.player import DescentSearch
    from ringrift.search.gumbel.player import GumbelSearch
    from ringrift.search.lockstep import LockstepPlayer, Search

    model, budget = setup.model, setup.simulations
    threads = len(os.sched_getaffinity(0)) if setup.threads is None else setup.threads
    kinds = {"minimax": stack.MINIMAX, "maxn": stack.MAXN, "brs": stack.BRS}
    evaluators = {"heuristic": values.HEURISTIC, "none": values.NULL, "nnue": values.NNUE}
    evaluator = evaluators.get(setup.evaluator, values.NETWORK)
    nnue = model.nnue if model and evaluator == values.NNUE else None
    search: Search
    if name in kinds:
        network = nnue.network if nnue else None
        search = DepthFirstSearch(kind=kinds[name], nodes=budget, network=network, threads=threads)
    elif name == "descent":
        search = DescentSearch(nodes=budget, threads=threads)
    else:
        search = GumbelSearch(
            simulations=budget,
            considered=root_moves(setup.considered, budget),
            nnue=nnue,
            puct=name == "puct",
            threads=threads,
        )
        if name == "heuristic":
            search = replace(search, lookahead=SHARP)
        elif name != "random":
            lookahead = PRIOR if setup.evaluator == "heuristic" else 0.0
            search = replace(search, noise_plies=setup.noise_plies, lookahead=lookahead)
    evaluate = model.evaluate if model and evaluator == values.NETWORK else None
    return LockstepPlayer(config, evaluator, search, evaluate=evaluate)
