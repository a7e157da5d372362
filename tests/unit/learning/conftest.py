"""Recorded games to learn from: random play, with a made-up improved policy at every choice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.games import play_game

from ringrift.events.facts import GameCompleted

MakeGame = Callable[[str, int], GameCompleted]

torch.set_num_threads(1)  # threads of several test processes on few cores would wait for each other


@pytest.fixture(scope="session")
def make_game() -> MakeGame:
    return play_game
