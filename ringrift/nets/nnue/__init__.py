"""NNUE: sparse features, the network that is trained on them, and integer inference.

`network` is the only module that imports torch. `features`, `inference` and `policy` are compiled,
so that searches can call them.
"""
