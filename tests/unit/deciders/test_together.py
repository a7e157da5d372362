"""Configs of a group have one line of networks: one training, a trial in each."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from support.loop_facts import (
    SMALL,
    A,
    B,
    C,
    exported,
    finished,
    planned,
    played,
    promoted,
    registered,
)

from ringrift.deciders.feedback import deadlock
from ringrift.deciders.fleet import ageing, assignment
from ringrift.deciders.fleet.order import Order
from ringrift.deciders.loop import adoption, evaluation, promotion, retraction, selfplay, training
from ringrift.deciders.loop.together import OLDER_SHARE
from ringrift.events.facts import (
    ConfigWindow,
    ConsumerStarted,
    EvaluationRequested,
    ModelAdopted,
    ModelTainted,
    SelfplayPlanned,
    TickRecorded,
    TrainingDelayed,
    TrainingFailed,
    TrainingRequested,
    TrainingStarted,
    TrainingTimedOut,
)
from ringrift.events.settings import TrainingSettings
from ringrift.events.tickets import tickets_of

HEX, SQUARE = "hex8_2p", "square8_2p"
D = "d" * 64
GROUP = TrainingSettings(together=(f"{HEX}+{SQUARE}",), cooldown_seconds=0.0)


def square(fact: Any) -> Any:
    """The same fact of square8_2p."""
    return replace(fact, config=SQUARE)


def started(settings_changed: Any, **changes: Any) -> Any:
    return settings_changed(training=replace(GROUP, **changes), configs=(HEX, SQUARE))


def both_played() -> tuple[Any, ...]:
    return planned(), square(planned()), played(), square(played()), exported()


def joint(**changes: Any) -> TrainingRequested:
    """A training of both."""
    other = ConfigWindow(config=SQUARE, generation=1, shards=(C,), samples=6000)
    return TrainingRequested(
        config=HEX,
        generation=1,
        architecture="v2-micro",
        parent=None,
        shards=(A,),
        samples=6000,
        seed=1,
        reason="r",
        settings_version=1,
        **{"others": (other,), **changes},
    )


def serving() -> Any:
    return replace(registered(B), serves={SQUARE: 1})


def test_a_group_is_trained_once_with_a_request_for_each_config(story, settings_changed):
    life = story(training.DECIDER).given(started(settings_changed), *both_played()[:-1])
    # the other one has played its games, and its shard comes in a moment
    (delayed,) = life.when(exported()).then(TrainingDelayed)
    assert (delayed.config, delayed.others, delayed.seconds_max) == (HEX, (SQUARE,), 120.0)
    within, request = life.when(square(exported(digest=C))).then(
        TrainingRequested, TrainingRequested
    )
    assert (within.config, within.within, within.shards) == (SQUARE, HEX, (C,))
    assert (request.config, request.within, request.shards) == (HEX, None, (A,))
    (other,) = request.others
    assert (other.config, other.generation, other.shards) == (SQUARE, 1, (C,))
    assert request.generations == {HEX: 1, SQUARE: 1}
    assert tickets_of(within, "EVENTS/9") == []
    assert len(tickets_of(request, "EVENTS/10")) == 1
    # nothing more until it ends
    life.when(square(exported(index=1, digest=D))).then()


def test_without_a_group_each_config_is_trained_by_itself(story, settings_changed):
    life = story(training.DECIDER).given(
        started(settings_changed, together=()), *both_played()[:-1]
    )
    (request,) = life.when(exported()).then(TrainingRequested)
    assert (request.config, request.others) == (HEX, ())
    (request,) = life.when(square(exported(digest=C))).then(TrainingRequested)
    assert (request.config, request.others, request.within) == (SQUARE, (), None)


def test_a_config_that_is_far_from_due_is_not_waited_for(story, settings_changed):
    life = story(training.DECIDER).given(started(settings_changed), planned())
    life.given(square(planned(games=640))).after(seconds=60).given(square(played()), played())
    # it has played 64 games in a minute, and needs nine more for the others
    (request,) = life.when(exported()).then(TrainingRequested)
    assert (request.config, request.others) == (HEX, ())


def test_it_is_not_waited_for_longer_than_the_setting(story, settings_changed):
    life = story(training.DECIDER).given(started(settings_changed), *both_played())
    life.after(seconds=60).when(TickRecorded(minute=1)).then()
    life.after(seconds=60).when(TickRecorded(minute=2)).then(TrainingRequested)
    # a training of the group is in flight, so the other one waits
    (delayed,) = life.when(square(exported(digest=C))).then(TrainingDelayed)
    assert (delayed.config, delayed.others) == (SQUARE, (HEX,))


def test_configs_that_are_not_due_keep_a_third_of_the_steps(story, settings_changed):
    life = story(training.DECIDER).given(started(settings_changed), *both_played())
    life.given(square(exported(digest=C)), finished(B), square(finished(B)))
    life.given(planned(1), played(1))
    (request,) = life.when(exported(1, digest=D)).then(TrainingRequested)
    assert request.parent == B
    (older,) = request.others
    assert (older.config, older.generation, older.shards) == (SQUARE, None, (C,))
    own, theirs = request.samples * request.intensity, older.samples * older.intensity
    assert abs(theirs / (own + theirs) - OLDER_SHARE) < 1e-3
    assert request.generations == {HEX: 2}


def test_the_parent_is_the_newest_network_of_the_group(story, settings_changed):
    life = story(training.DECIDER).given(started(settings_changed), planned(), played())
    life.given(exported(), finished(B), registered(B), square(planned()), square(played()))
    (request,) = life.when(square(exported(digest=C))).then(TrainingRequested)
    assert (request.config, request.parent) == (SQUARE, B)
    assert [(one.config, one.generation) for one in request.others] == [(HEX, None)]


def test_a_taught_training_is_alone(story, settings_changed):
    taught = started(settings_changed, distill_from=(f"{HEX}={D}",))
    life = story(training.DECIDER).given(taught, *both_played())
    (request,) = life.when(square(exported(digest=C))).then(TrainingRequested)
    assert (request.config, request.teacher, request.others) == (HEX, D, ())


def test_a_failed_training_is_requested_again_for_both(story, settings_changed):
    life = story(training.DECIDER).given(started(settings_changed), *both_played())
    life.given(square(exported(digest=C)))
    failed = TrainingFailed(config=HEX, generation=1, ticket="t", node="n", reason="r")
    life.when(failed).then(TrainingDelayed)  # that of the other one follows
    again = life.when(square(failed)).then(TrainingRequested, TrainingRequested)
    assert [(one.config, one.within, one.reason) for one in again] == [
        (SQUARE, HEX, "attempt 2 of 3"),
        (HEX, None, "attempt 2 of 3"),
    ]


def test_a_silent_training_times_out_for_both(story, settings_changed):
    silent = started(settings_changed, silent_seconds_max=90.0)
    life = story(training.DECIDER).given(silent, *both_played(), square(exported(digest=C)))
    alive = TrainingStarted(
        config=HEX, generation=1, ticket="t", node="n", device="cpu", resumed_step=0
    )
    life.given(alive, square(alive), TickRecorded(minute=1))
    out = life.after(seconds=100).when(TickRecorded(minute=2)).decided
    assert [one.config for one in out if isinstance(one, TrainingTimedOut)] == [HEX, SQUARE]


def test_one_training_of_a_group_counts_as_one(story, settings_changed):
    """With one trainer, a config outside of the group waits for it during its cool-down."""
    trainer = ConsumerStarted(consumer="trainer", node="n", instance="i", version="1")
    life = story(training.DECIDER).given(trainer)
    life.given(started(settings_changed), *both_played(), square(exported(digest=C)))
    state = life.state
    assert sum(item.attempts.running is not None for item in state.configs.values()) == 2
    assert sum(item.within for item in state.configs.values()) == 1


def test_the_network_is_on_trial_in_each_config_as_one_of_its_own(story, settings_changed):
    life = story(adoption.DECIDER).given(settings_changed(configs=(HEX, SQUARE)), joint())
    (adopted,) = life.when(serving()).then(ModelAdopted)
    assert (adopted.config, adopted.origin, adopted.generation) == (SQUARE, HEX, 1)

    on = story(evaluation.DECIDER).given(settings_changed(configs=(HEX, SQUARE)))
    matches = on.when(adopted).decided
    assert {one.purpose for one in matches if isinstance(one, EvaluationRequested)} == {
        "random",
        "heuristic",
    }
    assert on.state.configs[SQUARE].trials[B].purpose == "random"
    judged = story(promotion.DECIDER).given(adopted)
    assert judged.state.configs[SQUARE].purpose(B) == "random"


def test_the_next_generation_is_played_by_the_config_that_promotes_it(story, settings_changed):
    life = story(selfplay.DECIDER).given(
        settings_changed(selfplay=SMALL, configs=(HEX, SQUARE)), *both_played(), joint()
    )
    adopted = story(adoption.DECIDER).given(joint()).when(serving()).then(ModelAdopted)[0]
    life.given(square(joint(others=(), within=HEX)), serving(), adopted)
    (plan,) = life.when(square(promoted(B))).then(SelfplayPlanned)
    assert (plan.config, plan.generation, plan.model) == (SQUARE, 1, B)


def test_games_of_any_of_its_configs_taint_it_everywhere(story):
    adopted = story(adoption.DECIDER).given(joint()).when(serving()).then(ModelAdopted)[0]
    rehearsed = ConfigWindow(config="hex8_3p", shards=(D,), samples=1)
    for config, digest in ((SQUARE, C), ("hex8_3p", D)):
        life = story(retraction.DECIDER)
        shards = (exported(), square(exported(digest=C)))
        life.given(*shards, replace(exported(digest=D), config="hex8_3p"))
        request = joint(others=(*joint().others, rehearsed))
        life.given(request)
        life.when(serving(), cause=f"EVENTS/{life.seq}").given(adopted)
        again = replace(
            exported(digest="e" * 64, games=63), config=config, supersedes=digest, retracted=1
        )
        found = life.when(again, cause="EVENTS/3").decided
        assert {one.config for one in found if isinstance(one, ModelTainted)} == {HEX, SQUARE}


def test_a_network_that_is_adopted_tainted_is_tainted(story):
    adopted = story(adoption.DECIDER).given(joint()).when(serving()).then(ModelAdopted)[0]
    life = story(retraction.DECIDER).given(exported(), square(exported(digest=C)), joint())
    position = f"EVENTS/{life.seq}"
    life.when(replace(exported(digest=D), supersedes=A, retracted=1), cause="EVENTS/9").then()
    (tainted,) = life.when(serving(), cause=position).then(ModelTainted)
    assert tainted.config == HEX
    (tainted,) = life.when(adopted).then(ModelTainted)
    assert tainted.config == SQUARE


def test_only_the_request_with_the_ticket_waits_for_a_trainer(story, settings_changed):
    within = square(joint(others=(), within=HEX))
    assert story(ageing.DECIDER).given(within).state.waiting == {}
    assert story(assignment.DECIDER).given(within).state.waiting == {}
    order = Order()
    assert order.take(within, "EVENTS/1", story(ageing.DECIDER).now) == []
    assert not order.outstanding
    (ticket,) = order.take(joint(), "EVENTS/2", story(ageing.DECIDER).now)
    order.take(replace(finished(B), ticket=ticket.ticket), "EVENTS/3", story(ageing.DECIDER).now)
    order.take(
        square(replace(finished(B), ticket=ticket.ticket)), "EVENTS/4", story(ageing.DECIDER).now
    )
    assert not order.outstanding


def test_a_loop_of_a_group_is_not_taken_for_a_deadlock(story, settings_changed):
    life = story(deadlock.DECIDER).given(settings_changed(configs=(HEX, SQUARE)))
    life.given(*both_played(), square(joint(others=(), within=HEX)), joint())
    life.given(finished(B), square(finished(B)))
    assert not any(item.trainings for item in life.state.configs.values())
