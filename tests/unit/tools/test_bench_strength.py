"""How strong the networks of a loop were after some minutes."""

from __future__ import annotations

import pytest
from support.games import window_of
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.events.facts import ModelPromoted, SettingsChanged
from ringrift.events.settings import TrainingSettings
from ringrift.learning.families import NnueTrainer
from ringrift.nets.header import digest_of
from ringrift.tools.bench import strength
from ringrift.tools.bench.strength import Then, figures, states_at, units

CONFIG = "hex8_2p"


async def test_a_config_is_seen_as_it_was_after_some_minutes() -> None:
    loop = TurningLoop()
    await loop.put(SettingsChanged(version=1, settings=SETTINGS, why="test"), source="ringrift@n1")
    await loop.turn()
    start = (await loop.all())[0].meta.time
    promoted = await loop.all(ModelPromoted)
    at = [(recorded.meta.time - start).total_seconds() / 60 for recorded in promoted]
    minutes = (0.0, at[0], (at[1] + at[2]) / 2, 1000.0)
    found = await states_at(loop.log, (CONFIG,), minutes)
    models = [recorded.event.current for recorded in promoted]
    assert list(found.values()) == [
        Then(0, None),
        Then(1, models[0]),
        Then(2, models[1]),
        Then(3, models[2]),
    ]


def test_each_network_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(strength.STARTS, "hex8", 2)
    settings = TrainingSettings(architecture="nnue_policy", batch=32)
    data = NnueTrainer(window_of(CONFIG, 2), settings, seed=1, steps=1).model()
    model, played, elo = digest_of(data), list[str](), strength.elo
    monkeypatch.setattr(strength, "elo", lambda *given: played.append(given[1]) or elo(*given))
    states = {(CONFIG, 5.0): Then(0, None), (CONFIG, 10.0): Then(1, model)}
    states[CONFIG, 30.0] = Then(2, model)
    found = dict(figures(states, {model: data}))
    assert found.keys() == units((CONFIG,), (5.0, 10.0, 30.0)).keys()
    assert played == [None, None, model, model]
    assert found[f"{CONFIG} after 5 min/search"] == 0.0
    assert found[f"{CONFIG} after 5 min/heuristic"] > 0.0
    later, last = (found[f"{CONFIG} after {n} min/search"] for n in (10, 30))
    assert later == last < 0.0
    assert [found[f"{CONFIG} after {n} min/judged"] for n in (5, 10, 30)] == [0.0, 1.0, 2.0]
