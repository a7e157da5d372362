"""Positions of random play to encode and evaluate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ringrift.rules import Config, Position

RandomPositions = Callable[..., list[Position]]

torch.set_num_threads(1)  # threads of several test processes on few cores would wait for each other


def play_positions(key: str, *, count: int, seed: int = 0, every: int = 3) -> list[Position]:
    """`count` positions with a choice, every `every`-th of random games."""
    rng = np.random.default_rng(seed)
    found: list[Position] = []
    while len(found) < count:
        position = Position.start(Config.parse(key))
        while not position.over and len(found) < count:
            codes = position.legal_codes()
            if len(codes) > 1 and rng.integers(every) == 0:
                found.append(position.copy())
            position.play_code(int(codes[rng.integers(len(codes))]))
    return found


@pytest.fixture(scope="session")
def random_positions() -> RandomPositions:
    return play_positions


def as_arrays(positions: list[Position]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States, legal codes and offsets as the evaluator takes them."""
    states = np.array([position.state for position in positions])
    codes = [position.legal_codes() for position in positions]
    offsets = np.concatenate(([0], np.cumsum([len(c) for c in codes]))).astype(np.int64)
    return states, np.concatenate(codes), offsets


@pytest.fixture(scope="session")
def arrays_of() -> Callable[[list[Position]], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return as_arrays
