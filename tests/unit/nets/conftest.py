"""Torch uses one thread: those of several test processes would wait for each other."""

import torch

torch.set_num_threads(1)
