"""Players of RingRift.

`harness` names them and makes one from a configuration, an evaluator and a budget. `players` is
what they have in common. Each search is a package: a tree in flat arrays, a compiled kernel, and
the player that advances many games in lockstep.
"""
