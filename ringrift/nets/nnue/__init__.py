"""NNUE: sparse features, the network that is trained on them, and integer inference.

`features` and `inference` are compiled and do not import torch, so that searches can call them.
"""
