"""NNUE: sparse features, the network that is trained on them, and integer inference.

Only `network` and `sparse` import torch. `features`, `inference` and `policy` are compiled,
so that searches can call them.
"""
