"""Compilation of the searches: as that of the rules, in a cache folder of its own."""

from pathlib import Path

from ringrift.nets.compile import KERNELS
from ringrift.rules.compile import Compiler

_COMPILER = Compiler("search", (*Path(__file__).parent.rglob("*.py"), *KERNELS))
compiled, inlined = _COMPILER.compiled, _COMPILER.inlined
