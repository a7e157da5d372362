"""Compilation of the kernels of NNUE, which searches call too."""

from pathlib import Path
from typing import Final

from ringrift.rules.compile import Compiler

KERNELS: Final = tuple(
    Path(__file__).parent / "nnue" / name for name in ("features.py", "inference.py")
)
"""Sources that compiled callers elsewhere depend on."""

_COMPILER = Compiler("nets", KERNELS)
compiled, inlined = _COMPILER.compiled, _COMPILER.inlined
