"""Whatever settings are accepted, in a loop that runs as it should: no decider raises."""

from __future__ import annotations

import pytest

from adversary.settings import accepted
from adversary.trial import Trial, limited
from ringrift.events.facts import SettingsChanged

STEPS = 300
CHANGE_SHARE = 0.1


@pytest.mark.parametrize("seed", range(6))
def test_no_accepted_settings_make_a_decider_raise(seed: int) -> None:
    with limited():
        trial = Trial(seed, odd=0.0)
        trial.start()
        for version in range(2, STEPS + 2):
            if trial.random.random() < CHANGE_SHARE:
                settings = accepted(trial.values)
                trial.put(SettingsChanged(version=version, settings=settings, why="test"))
            trial.step()
    assert not trial.findings
