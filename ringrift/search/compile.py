"""Compilation of the searches: as that of the rules, in a cache folder of its own."""

from pathlib import Path
from typing import Final

from ringrift.nets.compile import KERNELS
from ringrift.rules.compile import RULES

SEARCH: Final = RULES.child("search", (*Path(__file__).parent.rglob("*.py"), *KERNELS))
compiled, inlined = SEARCH.compiled, SEARCH.inlined
