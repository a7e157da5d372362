"""The table of harnesses, as text, as rows for JSON, and as the page `docs/harnesses.md`."""

from typing import Any

from ringrift.search.harness import HARNESSES, MODEL_KINDS, compatible

SEATS = (2, 3, 4)
FIELDS = ("title", "evaluators", "policy", "searches", "seats", "lockstep")
PAGE = """# Which harness to use

A harness is a way to choose moves. This page is written by `ringrift harnesses --guide` from the
table that the program itself uses.

{table}

## Choosing

- Self-play: `gumbel`; with a GPU and thousands of games at once, `gpu_gumbel`. Only these two and
  `puct`, a baseline for experiments, produce policies to learn from. With an NNUE that has a policy
  head, `gumbel` stays inside compiled code. An NNUE without one plays `minimax` or `maxn`, and
  learns values only.
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
    rows = []
    for name, harness in HARNESSES.items():
        row = {"harness": name} | {field: getattr(harness, field) for field in FIELDS}
        models = {
            kind: tuple(n for n in SEATS if name in compatible(kind, n)) for kind in MODEL_KINDS
        }
        rows.append(row | {"models": models})
    return rows


def harness_text() -> str:
    """Return the table in columns of spaces."""
    rows = _rows()
    cells = [tuple(rows[0]), *(tuple(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
    return "\n".join(lines)


def harness_page() -> str:
    """Return the page `docs/harnesses.md`."""
    rows = _rows()
    lines = [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}"]
    for name, *rest in map(dict.values, rows):
        lines.append(f"| `{name}` | {' | '.join(rest)} |")
    return PAGE.format(table="\n".join(lines))


def _rows() -> list[dict[str, str]]:
    found = []
    for name, harness in HARNESSES.items():
        first, last = harness.seats[0], harness.seats[-1]
        nnue = "yes with policy head" if harness.policy else "yes"
        row = {
            "harness": name,
            "seats": str(first) if first == last else f"{first}-{last}",
            "network": _mark("network" in harness.evaluators),
            "NNUE": nnue if "nnue" in harness.evaluators else "-",
            "heuristic": _mark("heuristic" in harness.evaluators),
            "needs policy": _mark(harness.policy),
            "budget": _mark(harness.searches),
            "lockstep": str(harness.lockstep),
            "description": harness.title,
        }
        found.append(row)
    return found


def _mark(yes: bool) -> str:
    return "yes" if yes else "-"
