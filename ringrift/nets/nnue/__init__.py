"""NNUE: sparse features, the network that learns on them, and its inference in whole numbers.

`features` and `inference` are compiled and do not import torch, so that searches can use them.
"""
