"""Exponentials and linear equations with the same bits on every machine: only operations that IEEE
754 defines to the last bit, in a fixed order.

The exponential of numpy depends on the processor in the last bit, and a linear algebra library on
its threads as well."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def exp(x: FloatArray) -> FloatArray:
    """e to the power of x <= 0, within 2e-13 of its value: exp(x / 1024) by its series, squared ten
    times. That of numpy depends on the processor in the last bit."""
    y = np.maximum(x, -700.0) / 1024.0
    value = np.ones_like(y)
    for term in range(10, 0, -1):
        value = 1.0 + value * y / term
    for _ in range(10):
        value = value * value
    return value


Factors = list[tuple[IntArray, FloatArray, float]]
"""For each row of a matrix: the later rows that it touches, their multipliers, and its pivot."""


def eliminated(matrix: FloatArray) -> Factors:
    """L D L^T of a symmetric positive definite matrix in the order of its rows, skipping zeros."""
    work, factors = matrix.copy(), []
    for row in range(len(work)):
        pivot = float(work[row, row])
        rows = row + 1 + work[row + 1 :, row].nonzero()[0]
        column = work[rows, row]
        multipliers = column / pivot
        work[rows[:, None], rows] -= multipliers[:, None] * column
        factors.append((rows, multipliers, pivot))
    return factors


def solved(factors: Factors, right: FloatArray) -> FloatArray:
    """X (P, C) with matrix X = right."""
    found = right.copy()
    for row, (rows, multipliers, _) in enumerate(factors):
        found[rows] -= multipliers[:, None] * found[row]
    for row, (rows, multipliers, pivot) in reversed(list(enumerate(factors))):
        found[row] = found[row] / pivot - (multipliers[:, None] * found[rows]).sum(axis=0)
    return found
