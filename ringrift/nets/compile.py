"""Compilation of the NNUE kernels, which the search calls too."""

from pathlib import Path
from typing import Final

from ringrift.rules.compile import RULES

_SOURCES: Final = ("bags.py", "nnue/features.py", "nnue/inference.py", "nnue/policy.py")
KERNELS: Final = tuple(Path(__file__).parent / name for name in _SOURCES)
"""Sources that compiled callers in other packages depend on."""

NETS: Final = RULES.child("nets", KERNELS)
compiled, inlined = NETS.compiled, NETS.inlined
