"""Allocation of arrays by their annotations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ringrift.search.arrays import element


@pytest.mark.parametrize("array", [NDArray[np.int32], list[np.int32]])
def test_the_elements_are_found_in_both_forms_of_the_alias(array: object) -> None:
    """`list[np.int32]` has the arguments of `NDArray[np.int32]` in numpy 2.5, which broke every
    search there."""
    assert element(array) is np.int32
