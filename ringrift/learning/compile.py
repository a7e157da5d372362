"""Compilation of what reads games: as that of the rules, in a cache folder of its own."""

from pathlib import Path

from ringrift.rules.compile import RULES

# windows call the compiled functions of shards
_LEARNING = RULES.child("learning", [Path(__file__).parent / "shards.py"])
compiled, inlined = _LEARNING.compiled, _LEARNING.inlined
