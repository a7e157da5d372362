"""Compilation of the kernels of NNUE, which searches call too."""

from pathlib import Path
from typing import Final

from ringrift.rules.compile import RULES

KERNELS: Final = tuple(
    Path(__file__).parent / "nnue" / name for name in ("features.py", "inference.py")
)
"""Sources that compiled callers elsewhere depend on."""

NETS: Final = RULES.child("nets", KERNELS)
compiled, inlined = NETS.compiled, NETS.inlined
