"""The end of a run of `ringrift up`."""

from __future__ import annotations

import pytest

from ringrift.cluster.up import _continue_with
from ringrift.insight.generations import LoopView

COMMAND = ["up", "--config", "hex8_2p", "--generations", "3"]


@pytest.mark.parametrize(("finished", "generations"), [(True, "6"), (False, "3")])
def test_the_continuing_command_asks_for_more_generations_only_when_all_are_judged(
    monkeypatch: pytest.MonkeyPatch, finished: bool, generations: str
) -> None:
    view = LoopView()
    view.generations_wanted = 3
    monkeypatch.setattr(LoopView, "finished", lambda self: finished)
    assert (
        _continue_with(COMMAND, view) == f"ringrift up --config hex8_2p --generations {generations}"
    )
