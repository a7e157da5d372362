"""Integer inference of an NNUE, compiled: accumulators with incremental updates, and values.

For the perspective of seat p, with features f and clip(x) = min(max(x, 0), 1):

    a_p = bias + sum over active f of first[f]           H numbers, updated incrementally for every
    seat h_p = clip(second [clip(a_p), globals_p] + bias)     K numbers u_p = out h_p + direct
    globals_p + bias              strength on a logistic scale v_p = mean over the other seats q of
    tanh((u_p - u_q) / 2)

so values are in -1..1, sum to 0 and are exactly opposite with two seats, as alpha-beta requires.
The last line is the same as in the handcrafted heuristic (Bradley-Terry, Plackett-Luce).

Integers: 1.0 of `a` is `one` (at most 127, and such that no position can overflow int16), weights
of the second layer are in units of 1 / SECOND_ONE, those of the output in units of 1 / OUT_ONE. All
weights are int16, which is faster here than int8: the compiler vectorises int16 multiplication but
not int8. Integer sums do not depend on their order, so an updated accumulator equals a refreshed
one bit for bit. The scheme is that of Stockfish's NNUE (Nasu 2018; nnue-pytorch, docs/nnue.md).

A depth-first search has one `Accumulators` with one node per ply:

    refresh(g, net, root, acc, 0)
    update(g, net, acc, ply, child, ply + 1)      # child: usually one move later
    value(g, net, acc, ply + 1, child, values)
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import numba
import numpy as np
from numba.extending import intrinsic
from numpy.typing import NDArray

from ringrift.nets.arrays import Floats, Int16s, Int32s, States
from ringrift.nets.compile import compiled, inlined
from ringrift.nets.nnue import features as nf
from ringrift.rules import layout as la
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.rules.outcome import final_values

i32 = cast(Callable[[int], int], np.int32)

SECOND_ONE: Final = 256  # weights of the second layer reach +-128
OUT_ONE: Final = 256


class Network(NamedTuple):
    """Quantised weights for a board of N cells, with H units in the first and K in the second
    layer."""

    first: Int16s  # [N * LEVELS, H]
    first_bias: Int16s  # [H]
    second: Int16s  # [K, H + GLOBALS]
    second_bias: Int32s  # [K]
    out: Int16s  # [K]
    out_bias: int
    direct: Int32s  # [GLOBALS], in units of the sum per unit of a global
    one: int  # accumulator units of 1.0


class Accumulators(NamedTuple):
    """Accumulators of the nodes of a search, and scratch memory; one per thread."""

    sums: Int16s  # [nodes, n, H] by perspective
    cells: nf.Cells  # [nodes, N] words of the cells of the sums
    # scratch
    before: Int32s  # [CELL_FEATURES_MAX]
    after: Int32s  # [CELL_FEATURES_MAX]
    inputs: Int16s  # [H + GLOBALS] of the second layer
    strengths: NDArray[np.float64]  # [n]
    axes: Int16s  # [AXES]


def new_accumulators(g: Geometry, net: Network, nodes: int) -> Accumulators:
    """Return accumulators for `nodes` nodes."""
    return Accumulators(
        sums=np.zeros((nodes, g.seats, len(net.first_bias)), np.int16),
        cells=np.zeros((nodes, g.n_cells), np.int32),
        before=np.zeros(nf.CELL_FEATURES_MAX, np.int32),
        after=np.zeros(nf.CELL_FEATURES_MAX, np.int32),
        inputs=np.zeros(net.second.shape[1], np.int16),
        strengths=np.zeros(g.seats),
        axes=nf.plain_places(g)[1],
    )


def no_network() -> Network:
    """Return a network without units, for compiled code that takes one but does not use it."""
    shapes = ((0, 0), (0,), (0, nf.GLOBALS))
    first, none, second = (np.zeros(shape, np.int16) for shape in shapes)
    bias, direct = (np.zeros(size, np.int32) for size in (0, nf.GLOBALS))
    return Network(first, none, second, bias, none, out_bias=0, direct=direct, one=1)


@inlined
def _add(sums: Int16s, row: Int16s) -> None:
    for j in range(sums.size):
        sums[U(j)] += row[U(j)]


@inlined
def _subtract(sums: Int16s, row: Int16s) -> None:
    for j in range(sums.size):
        sums[U(j)] -= row[U(j)]


@compiled
def _change_cell(
    g: Geometry, net: Network, acc: Accumulators, place: int, old: int, new: int, node: int
) -> None:
    """Update the sums of `node` for the change of cell `place` from word `old` to `new`."""
    for p in range(g.seats):
        sums = acc.sums[U(node), U(p)]
        olds = nf.cell_features(old, place, p + 1, g.seats, acc.axes, acc.before, 0)
        news = nf.cell_features(new, place, p + 1, g.seats, acc.axes, acc.after, 0)
        i, j = i64(0), i64(0)
        while i < olds or j < news:  # both lists ascend; features in both lists do not change
            if j == news or (i < olds and acc.before[U(i)] < acc.after[U(j)]):
                _subtract(sums, net.first[U(acc.before[U(i)])])
                i += 1
            elif i == olds or acc.after[U(j)] < acc.before[U(i)]:
                _add(sums, net.first[U(acc.after[U(j)])])
                j += 1
            else:
                i += 1
                j += 1


@compiled
def refresh(g: Geometry, net: Network, s: Words, acc: Accumulators, node: int) -> None:
    """Compute the accumulators of `node` for state `s` from scratch."""
    nf.describe(g, s, acc.cells[U(node)])
    for p in range(g.seats):
        for j in range(net.first_bias.size):
            acc.sums[U(node), U(p), U(j)] = net.first_bias[U(j)]
    for k in range(g.n_cells):
        word = i64(acc.cells[U(node), U(k)])
        if word:
            _change_cell(g, net, acc, i64(k), i64(0), word, i64(node))


@compiled
def update(g: Geometry, net: Network, acc: Accumulators, parent: int, s: Words, child: int) -> None:
    """Compute the accumulators of node `child` for state `s` incrementally from those of `parent`,
    another node."""
    for p in range(g.seats):
        for j in range(net.first_bias.size):
            acc.sums[U(child), U(p), U(j)] = acc.sums[U(parent), U(p), U(j)]
    nf.describe(g, s, acc.cells[U(child)])
    for k in range(g.n_cells):
        old, new = i64(acc.cells[U(parent), U(k)]), i64(acc.cells[U(child), U(k)])
        if old != new:
            _change_cell(g, net, acc, i64(k), old, new, i64(child))


@inlined
def write_inputs(
    g: Geometry, net: Network, acc: Accumulators, node: int, s: Words, seat: int
) -> None:
    """Write the inputs of the second layer for `seat`: clipped sums, then globals."""
    sums, one = acc.sums[U(node), U(seat - 1)], np.int16(net.one)
    for j in range(sums.size):
        acc.inputs[U(j)] = min(max(sums[U(j)], np.int16(0)), one)
    nf.global_features(g, s, seat, acc.inputs[sums.size :])


def _define_add_product(typingctx: Any, total: Any, x: Any, y: Any) -> Any:
    """Return `total + x * y` of an int32 and two int16. Numba would widen all to int64, which hides
    the multiplication of int16 from LLVM: 12 ns instead of 64 for rows of 288."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = context.get_value_type(numba.int32)
        factors = (builder.sext(factor, wide) for factor in args[1:])
        return builder.add(args[0], builder.mul(*factors))

    return numba.int32(numba.int32, numba.int16, numba.int16), codegen


_add_product = cast(Callable[[int, int, int], int], intrinsic(_define_add_product))


@inlined
def dot(x: Int16s, row: Int16s) -> int:
    """Return the dot product, which must fit into int32 as all its partial sums must."""
    total = i32(0)
    for j in range(x.size):
        total = _add_product(total, x[U(j)], row[U(j)])
    return total


@inlined
def _strength(
    g: Geometry, net: Network, acc: Accumulators, node: int, s: Words, seat: int
) -> float:
    """Return the strength u of `seat`."""
    write_inputs(g, net, acc, node, s, seat)
    first, limit = net.first_bias.size, i64(net.one) * SECOND_ONE
    total = i64(net.out_bias)
    for j in range(nf.GLOBALS):
        total += i64(acc.inputs[U(first + j)]) * i64(net.direct[U(j)])
    for k in range(net.out.size):
        hidden = net.second_bias[U(k)] + dot(acc.inputs, net.second[U(k)])
        total += min(max(i64(hidden), 0), limit) * i64(net.out[U(k)])
    return total / (limit * OUT_ONE)


@compiled
def value(
    g: Geometry, net: Network, acc: Accumulators, node: int, s: Words, values: Floats
) -> None:
    """Write the value of state `s` for every seat to `values[seat - 1]`, exact when the game is
    over; its accumulators are at `node`."""
    if s[U(la.PHASE)] == la.OVER:
        final_values(s, g.seats, values)
        return
    for a in range(g.seats):
        acc.strengths[U(a)] = _strength(g, net, acc, node, s, a + 1)
    for a in range(g.seats):
        total = 0.0
        for b in range(g.seats):
            if a != b:
                total += np.tanh((acc.strengths[U(a)] - acc.strengths[U(b)]) * 0.5)
        values[U(a)] = total / (g.seats - 1)


@compiled
def evaluate_batch(
    g: Geometry, net: Network, acc: Accumulators, states: States, values: Floats
) -> None:
    """Write `values[B, n]` by seat of `states[B, S]`; the accumulators of state i remain in node
    i."""
    for i in range(states.shape[0]):
        refresh(g, net, states[i], acc, i)
        value(g, net, acc, i, states[i], values[i])
