"""The arrays that searches exchange: their types, and how they are allocated."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

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

T = TypeVar("T")


def record(**fields: str) -> np.dtype[Any]:
    """Return a record type from the names of its fields by numpy's type codes.

    `record(i4="count next", f4="value")` has two int32 fields and one float32 field."""
    return np.dtype([(name, code) for code, names in fields.items() for name in names.split()])


def records(shape: int | tuple[int, ...], kind: np.dtype[Any]) -> Records:
    """Return an array of records, all zero, whose fields are attributes."""
    return np.zeros(shape, kind).view(np.recarray)


def allocate(kind: Callable[..., T], sizes: Mapping[str, int], **given: Any) -> T:
    """Return a named tuple of arrays of zeros; `given` are the fields that are no such array.

    Its annotations name the sizes of every array, as in `Annotated[Floats, "G n"]`, and the type of
    records, as in `Annotated[Records, "G", GAME]`."""
    fields = dict(given)
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name not in given:
            array, shape, *record_type = get_args(hint)
            lengths = tuple(sizes[size] for size in shape.split())
            if record_type:
                fields[name] = records(lengths, *record_type)
            else:
                fields[name] = np.zeros(lengths, element(array))
    return kind(**fields)


def element(array: Any) -> Any:
    """Return the type of the elements of `NDArray[...]`: numpy 2.5 has it as the argument, earlier
    versions as the argument of the type of the array, the last argument."""
    last = get_args(array)[-1]
    return next(iter(get_args(last)), last)
