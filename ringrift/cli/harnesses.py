"""`ringrift harnesses`: which player goes with which model and how many seats."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ringrift.search.harness import HARNESSES, MODEL_KINDS, compatible

SEATS = (2, 3, 4)
HEADER: tuple[str, ...] = (
    "harness",
    "seats",
    "network",
    "NNUE",
    "heuristic",
    "needs policy",
    "budget",
    "lockstep",
    "what it is",
)
GUIDE_HEAD = """# Which harness to use

A harness is a way to choose moves. This page is written by `ringrift harnesses --guide` from the table the program itself goes by.
"""
GUIDE_CHOICES = """
## Choosing

- Games to learn from: `gumbel`; with a GPU and thousands of games at once, `gpu_gumbel`. Only these two leave policies to learn
  from.
- The strongest play of a model with a policy: `gumbel`.
- A fast evaluation without a policy (the heuristic, an NNUE): `minimax` with two seats, `brs` or `maxn` with more. `maxn` is exact
  about what every seat wants but looks at every move; `brs` looks further and trusts nobody.
- How good a policy is by itself: `policy`. How good a network has become at all: against `heuristic`, and `random` below it.
- Endgames to be solved, and research: `descent`.

The budget is `simulations` a decision: for `gumbel` simulations, for the others positions looked at. `minimax`, `maxn`, `brs` and
`descent` look at all moves of the root whatever the budget. Participants in ratings are named `model:harness:s<budget>`, so each
harness has a rating of its own.
"""


def harnesses(options: argparse.Namespace) -> int:
    """Print the table, as text, JSON or the guide."""
    if options.json:
        print(json.dumps(rows(), indent=2))
    elif options.guide:
        print(guide(), end="")
    else:
        print(text(), end="")
    return 0


def rows() -> list[dict[str, Any]]:
    """One item a harness; `models` maps each kind of model to the numbers of seats it can be played
    with."""
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


def cells() -> list[tuple[str, ...]]:
    """The table as text, header first."""
    found = [HEADER]
    for row in rows():
        evaluators = row["evaluators"]
        found.append(
            (
                row["harness"],
                "-".join(map(str, sorted({row["seats"][0], row["seats"][-1]}))),
                _mark("network" in evaluators),
                _mark("nnue" in evaluators, " with policy head" if row["policy"] else ""),
                _mark("heuristic" in evaluators),
                _mark(row["policy"]),
                _mark(row["searches"]),
                str(row["lockstep"]),
                row["title"],
            )
        )
    return found


def text() -> str:
    """The table in columns."""
    table = cells()
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    return "\n".join(lines) + "\n"


def guide() -> str:
    """The page `docs/harnesses.md`."""
    head, *body = cells()
    lines = [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join((f'`{row[0]}`', *row[1:]))} |" for row in body),
    ]
    return GUIDE_HEAD + "\n" + "\n".join(lines) + "\n" + GUIDE_CHOICES


def _mark(yes: bool, note: str = "") -> str:
    return f"yes{note}" if yes else "-"
