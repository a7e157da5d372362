"""The table of harnesses, as text, as rows for JSON, and as the page `docs/harnesses.md`."""

from typing import Any

from ringrift.search.harness import HARNESSES, MODEL_KINDS, compatible

SEATS = (2, 3, 4)
HEADER = (
    "harness",
    "seats",
    "network",
    "NNUE",
    "heuristic",
    "needs policy",
    "budget",
    "lockstep",
    "description",
)
PAGE = """# Which harness to use

A harness is a way to choose moves. This page is written by `ringrift harnesses --guide` from the
table that the program itself uses.

{table}

## Choosing

- Self-play: `gumbel`; with a GPU and thousands of games at once, `gpu_gumbel`. Only these two
  produce policies to learn from.
- The strongest play of a model with a policy: `gumbel`.
- A fast evaluation without a policy (the heuristic, an NNUE): `minimax` with two seats, `brs` or
  `maxn` with more. `maxn` is exact about what every seat wants but considers every move; `brs`
  searches deeper and assumes that all opponents play against the mover.
- The strength of a policy alone: `policy`. The strength of a network: `heuristic` as opponent, and
  `random` below it.
- Solving endgames, and research: `descent`.

The budget is `simulations` per decision: simulations for `gumbel`, evaluated positions for the
others. `minimax`, `maxn`, `brs` and `descent` evaluate all moves of the root whatever the budget.
Participants in ratings are named `model:harness:s<budget>`, so each harness has its own rating.
"""


def harness_rows() -> list[dict[str, Any]]:
    """Return one item per harness; `models` maps each kind of model to the numbers of seats that it
    can be played with."""
    return [
        {
            "harness": name,
            "title": harness.title,
            "evaluators": harness.evaluators,
            "policy": harness.policy,
            "searches": harness.searches,
            "seats": harness.seats,
            "lockstep": harness.lockstep,
            "models": {
                kind: tuple(n for n in SEATS if name in compatible(kind, n)) for kind in MODEL_KINDS
            },
        }
        for name, harness in HARNESSES.items()
    ]


def harness_text() -> str:
    """Return the table in columns of spaces."""
    cells = [HEADER, *_cells()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
    return "\n".join(lines)


def harness_page() -> str:
    """Return the page `docs/harnesses.md`."""
    lines = [f"| {' | '.join(HEADER)} |", f"|{'---|' * len(HEADER)}"]
    lines += [f"| `{name}` | {' | '.join(rest)} |" for name, *rest in _cells()]
    return PAGE.format(table="\n".join(lines))


def _cells() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, harness in HARNESSES.items():
        first, last = harness.seats[0], harness.seats[-1]
        nnue = "yes with policy head" if harness.policy else "yes"
        cells = (
            name,
            str(first) if first == last else f"{first}-{last}",
            _mark("network" in harness.evaluators),
            nnue if "nnue" in harness.evaluators else "-",
            _mark("heuristic" in harness.evaluators),
            _mark(harness.policy),
            _mark(harness.searches),
            str(harness.lockstep),
            harness.title,
        )
        found.append(cells)
    return found


def _mark(yes: bool) -> str:
    return "yes" if yes else "-"
