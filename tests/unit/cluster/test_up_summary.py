"""`ringrift up`: its processes, and the end of a run."""

from __future__ import annotations

import pytest

from ringrift.cluster.up import _continue_with, processes
from ringrift.consumers.hook import HOOK
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


def test_the_process_that_rents_runs_only_with_a_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOOK, raising=False)
    without = {spec.name for spec in processes()}
    monkeypatch.setenv(HOOK, "/opt/hook")
    assert {spec.name for spec in processes()} - without == {"renter"}
