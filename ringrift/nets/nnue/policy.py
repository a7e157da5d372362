"""The policy of an NNUE in integers, compiled: logits of the legal moves of one position.

    q = query [clip(a), globals] + bias          P numbers, from the accumulator of the seat to act
    logit of a move = [q, 1] . (sum over its named cells of terms[row]
                                + mean over its collapsing cells of terms[row] + terms[kind])

with rows and kinds as in `ringrift.nets.bags`. The product of [q, 1] with one row is computed once
a position, however many moves name the cell in that role: 46 moves of hex8 cost 0.3 us instead of
three or four products each.

Sums of products are in int32, so they do not depend on their order, nor games on the machine that
plays them.
"""

from typing import Final, NamedTuple

import numpy as np

from ringrift.nets.arrays import Codes, Floats, Int16s, Int32s, Int64s, States
from ringrift.nets.bags import CELLS_MAX, KINDS, ROLES, Role, collapsing_cells, kind_of, named_cells
from ringrift.nets.compile import compiled, inlined
from ringrift.nets.nnue.inference import (
    Accumulators,
    Network,
    dot,
    new_accumulators,
    no_network,
    refresh,
    value,
    write_inputs,
)
from ringrift.rules import layout as la
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words

QUERY_MAX: Final = 32767  # components beyond are clipped


class Policy(NamedTuple):
    """Quantised weights of a policy with queries of P components; without a policy P is 0."""

    query: Int16s  # [P, H + GLOBALS]
    query_bias: Int32s  # [P]
    shift: int  # a component of q is the sum divided by 2 ** shift
    one: int  # the last component of [q, 1]
    terms: Int16s  # [rows + KINDS, P + 1]
    unit: float  # logits per unit of a product


class Weights(NamedTuple):
    """An NNUE as it plays."""

    network: Network
    policy: Policy

    @property
    def has_policy(self) -> bool:
        """Whether its logits mean anything."""
        return self.policy.query_bias.size > 0


class Memo(NamedTuple):
    """The query of one position and its products so far, those of this `stamp`."""

    query: Int16s  # [P + 1]
    products: Int32s  # [rows + KINDS]
    stamps: Int64s  # [rows + KINDS]
    stamp: Int64s  # [1]
    # scratch
    rows: Int64s  # [CELLS_MAX]
    cells: Int16s  # [n_cells]


class Inference(NamedTuple):
    """An NNUE with room for the nodes of a search; one per thread."""

    network: Network
    policy: Policy
    acc: Accumulators
    memo: Memo


def no_weights() -> Weights:
    """Return an NNUE without units, for compiled code that takes one but does not use it."""
    none = np.zeros((0, 0), np.int16)
    return Weights(no_network(), Policy(none, np.zeros(0, np.int32), 0, 0, none, 0.0))


def new_inference(g: Geometry, weights: Weights, nodes: int) -> Inference:
    """Return room for `nodes` nodes."""
    network, policy = weights
    rows, width = policy.terms.shape
    memo = Memo(
        query=np.zeros(width, np.int16),
        products=np.zeros(rows, np.int32),
        stamps=np.zeros(rows, np.int64),
        stamp=np.zeros(1, np.int64),
        rows=np.zeros(CELLS_MAX, np.int64),
        cells=np.zeros(g.n_cells, np.int16),
    )
    return Inference(network, policy, new_accumulators(g, network, nodes), memo)


@inlined
def _ask(g: Geometry, e: Inference, node: int, s: Words) -> None:
    """Write `[q, 1]` of the seat to act."""
    policy, memo = e.policy, e.memo
    write_inputs(g, e.network, e.acc, node, s, i64(s[U(la.TURN)]))
    half = (i64(1) << policy.shift) >> 1
    for k in range(policy.query_bias.size):
        total = i64(policy.query_bias[U(k)]) + dot(e.acc.inputs, policy.query[U(k)])
        q = (total + half) >> policy.shift
        memo.query[U(k)] = min(max(q, i64(-QUERY_MAX)), i64(QUERY_MAX))
    memo.query[U(policy.query_bias.size)] = policy.one
    memo.stamp[0] += 1


@inlined
def _product(e: Inference, row: int) -> int:
    """Return the product of the query with a row of the terms."""
    memo = e.memo
    if memo.stamps[U(row)] != memo.stamp[0]:
        memo.stamps[U(row)] = memo.stamp[0]
        memo.products[U(row)] = dot(memo.query, e.policy.terms[U(row)])
    return i64(memo.products[U(row)])


@compiled
def write_logits(
    g: Geometry, e: Inference, node: int, s: Words, moves: Codes, logits: Floats
) -> None:
    """Write the logits of the legal `moves` of a running game, whose accumulators are at `node`."""
    _ask(g, e, node, s)
    memo, kinds = e.memo, e.policy.terms.shape[0] - KINDS
    for i in range(moves.size):
        m = moves[U(i)]
        total = i64(0)
        for r in range(named_cells(m, i64(0), g.grid_of, memo.rows, i64(0))):
            total += _product(e, memo.rows[U(r)])
        size = i64(collapsing_cells(g, s, m, memo.cells))
        total += _product(e, kinds + kind_of(m, size))
        together = i64(0)
        for k in range(size):
            together += _product(e, i64(g.grid_of[U(memo.cells[U(k)])]) * ROLES + Role.COLLAPSES)
        logits[U(i)] = (total + together / max(size, 1)) * e.policy.unit


@compiled
def evaluate(
    g: Geometry,
    e: Inference,
    states: States,
    codes: Codes,
    offsets: Int64s,
    logits: Floats,
    values: Floats,
) -> None:
    """Write the values by seat, `[B, n]`, and the logits `[M]`, of `states[B, S]` with the legal
    moves `codes[offsets[i]:offsets[i + 1]]`; logits are left alone without a policy."""
    for i in range(states.shape[0]):
        refresh(g, e.network, states[i], e.acc, 0)
        value(g, e.network, e.acc, 0, states[i], values[i])
        if e.policy.query_bias.size:
            some, out = codes[offsets[i] : offsets[i + 1]], logits[offsets[i] : offsets[i + 1]]
            write_logits(g, e, 0, states[i], some, out)
