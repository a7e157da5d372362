"""The kit: the arguments of handlers, and the reads and writes derived from their annotations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import Struct
from msgspec.structs import replace
from support.story import Story, settings_changed

from ringrift.deciders.kit import Configs, Context, Decider, Fold, changed
from ringrift.events import REGISTRY, Fact, facts as f

HEX, SQUARE = "hex8_2p", "square8_2p"
TICK = f.TickRecorded(minute=1)


class Part(Struct, frozen=True):
    """Anomalies of a config."""

    anomalies: int = 0


class Item(Struct, frozen=True):
    """Anomalies of a config twice, and its boost."""

    part: Part = Part()
    doubled: int = 0
    boost: float = 1.0


class State(Configs[Item], frozen=True, kw_only=True):
    """Configs, and the number of ticks."""

    ticks: int = 0


PART = Fold(Part)


@PART.evolves
def part_after(item: Part, fact: f.LossAnomalyDetected) -> Part:
    return Part(item.anomalies + 1)


DECIDER = Decider("test", State, parts=(PART,), wakes=(f.SettingsChanged,))


@DECIDER.evolves
def item_after(item: Item, fact: f.LossAnomalyDetected) -> Item:
    return replace(item, doubled=2 * item.part.anomalies)


@DECIDER.evolves
def boosted(item: Item, fact: f.ExplorationAdjusted) -> Item:
    return replace(item, boost=fact.boost)


@DECIDER.evolves
def ticked(state: State, fact: f.TickRecorded | f.NodeJoined) -> State:
    return replace(state, ticks=state.ticks + 1)


@DECIDER.decides
def explore(
    item: Item, fact: f.LossAnomalyDetected, context: Context
) -> Iterator[f.ExplorationAdjusted]:
    yield adjusted(fact.config, 2 * item.boost, context)


@DECIDER.decides
def always(state: State, context: Context) -> Iterator[f.CurriculumReweighted]:
    yield f.CurriculumReweighted(
        config=None,
        reason="outage",
        amplitude=1.0,
        weights=dict.fromkeys(context.settings.configs, 1.0),
        settings_version=context.settings_version,
    )


def adjusted(config: str, boost: float, context: Context) -> f.ExplorationAdjusted:
    return f.ExplorationAdjusted(
        config=config,
        boost=boost,
        previous=1.0,
        reason="loss anomaly",
        settings_version=context.settings_version,
    )


def anomaly(config: str = HEX) -> f.LossAnomalyDetected:
    return f.LossAnomalyDetected(
        config=config,
        generation=1,
        ticket="t",
        severity="minor",
        loss=1.0,
        expected=0.5,
        deviations=3.0,
        settings_version=1,
    )


def test_reads_and_writes_are_derived_from_annotations() -> None:
    assert set(DECIDER.writes) == {f.ExplorationAdjusted, f.CurriculumReweighted}
    assert set(DECIDER.reads) == {
        f.SettingsChanged,
        f.LossAnomalyDetected,
        f.TickRecorded,
        f.NodeJoined,
    }


def test_a_handler_of_any_fact_reads_all_of_events() -> None:
    everything = Decider("every", Configs[Item])

    @everything.decides
    def decide(state: Configs[Item], fact: Fact) -> Iterator[f.NodeJoined]:
        yield f.NodeJoined(node="n", rejoined=False)

    events = {kind.fact_type for kind in REGISTRY.values() if kind.stream == "EVENTS"}
    assert {*everything.reads, *everything.writes} == events


def test_an_item_is_kept_for_each_config() -> None:
    life = Story(DECIDER).given(anomaly(HEX), anomaly(HEX), anomaly(SQUARE))
    counts = {config: item.part.anomalies for config, item in life.state.configs.items()}
    assert counts == {HEX: 2, SQUARE: 1}


def test_handlers_of_one_fact_run_in_order_parts_first() -> None:
    life = Story(DECIDER).given(anomaly(), anomaly())
    assert life.state.configs[HEX].doubled == 4


def test_own_decisions_are_folded() -> None:
    life = Story(DECIDER).given(anomaly(), anomaly())
    assert life.state.configs[HEX].boost == 4.0


def test_a_handler_without_a_fact_decides_after_every_fact_that_is_read() -> None:
    life = Story(DECIDER)
    for fact in (TICK, settings_changed()):
        life.when(fact).then(f.CurriculumReweighted)
    life.when(anomaly()).then(f.CurriculumReweighted, f.ExplorationAdjusted)
    life.when(f.PipelinePaused(scope="all", why="w")).then()


def test_the_context_has_the_settings_in_force_and_their_version() -> None:
    life = Story(DECIDER).given(settings_changed(version=7, configs=(SQUARE,)))
    (fact,) = life.when(TICK).then(f.CurriculumReweighted)
    assert (fact.weights, fact.settings_version) == ({SQUARE: 1.0}, 7)


def test_the_context_has_the_pauses() -> None:
    life = Story(DECIDER).given(f.PipelinePaused(scope=HEX, kind="training", why="w"))
    assert life.in_force.pauses.stops(HEX, "training")
    life.given(f.PipelineResumed(scope=HEX, kind="training", why="w"))
    assert not life.in_force.pauses.stops(HEX, "training")


def test_a_copy_may_decide_otherwise() -> None:
    Story(DECIDER).when(TICK).then(f.CurriculumReweighted)

    def nothing(state: State, fact: Fact, context: Context) -> tuple[Fact, ...]:
        return ()

    other = DECIDER.but(nothing)
    Story(other).when(anomaly()).then()
    assert (set(other.reads), set(other.writes)) == (set(DECIDER.reads), set(DECIDER.writes))
    Story(DECIDER).when(TICK).then(f.CurriculumReweighted)


def test_a_handler_of_another_state_is_refused() -> None:
    with pytest.raises(TypeError, match="not the state"):

        @DECIDER.evolves
        def wrong(state: Part, fact: f.TickRecorded) -> Part:
            return state


def test_changing_an_unknown_key_changes_nothing() -> None:
    known = {"a": Item(), "b": Item()}
    assert changed(known, "a", boost=2.0) == {"a": Item(boost=2.0), "b": Item()}
    assert changed(known, "c", boost=2.0) is known
    assert known["a"] == Item()
