"""Types of the arrays that searches exchange."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Keys = NDArray[np.uint64]
Seeds = NDArray[np.uint64]  # [B] by game
States = NDArray[np.int32]  # [B, S]
Records = np.recarray[Any, np.dtype[np.record]]

Index = int | np.int64
"""Of a node or edge; widened to int64 as an argument, so that a function is compiled once."""


def record(**fields: str) -> np.dtype[Any]:
    """Return a record type from the names of its fields by numpy's type codes.

    `record(i4="count next", f4="value")` has two int32 fields and one float32 field."""
    return np.dtype([(name, code) for code, names in fields.items() for name in names.split()])


def records(shape: int | tuple[int, int], kind: np.dtype[Any]) -> Records:
    """Return an array of records, all zero, whose fields are attributes."""
    return np.zeros(shape, kind).view(np.recarray)
