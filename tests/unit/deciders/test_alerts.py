"""Which conditions are alerts, when, and when they are cleared."""

from __future__ import annotations

import pytest
from support.loop_facts import finished
from support.timed_story import TICK, Life

from ringrift.deciders.fleet import alerts
from ringrift.deciders.fleet.troubles import RULES
from ringrift.events import Fact, Settings, facts as f
from ringrift.events.settings import AlertSettings

CONFIG = "hex8_2p"
FAILED = f.TrainingFailed(config=CONFIG, generation=3, ticket="t", node="n", reason="out of memory")
HOUR = 3600


def presence(present: bool, consumer: str = "trainer") -> f.ConsumerPresenceChanged:
    return f.ConsumerPresenceChanged(consumer=consumer, present=present)


def brief(facts: list[Fact]) -> list[str]:
    return [f"{type(fact).__name__} {alerts.name_of(fact)}".strip() for fact in facts]


def pressure(tier: f.Tier, resource: f.Resource) -> f.NodePressureChanged:
    return f.NodePressureChanged(
        node="n", resource=resource, consumer="", tier=tier, previous="normal", used=0.98
    )


def shard(last_seq: int, games: int) -> f.ShardExported:
    return f.ShardExported(
        config=CONFIG,
        encoder="e",
        index=0,
        first_seq=last_seq - games + 1,
        last_seq=last_seq,
        games=games,
        samples=1,
        rejected=0,
        digest="ab" * 32,
        size_bytes=1,
    )


def velocity(above: float) -> f.VelocityChanged:
    return f.VelocityChanged(
        config=CONFIG,
        model="ab" * 32,
        elo_per_hour=None,
        pace=None,
        elo_above_heuristic=above,
        settings_version=1,
    )


def test_a_crash_loop_of_each_process_is_a_critical_alert() -> None:
    life = Life(alerts.DECIDER)
    loop = f.CrashLoopChanged(node="n", consumer="trainer", looping=True, crashes=3)
    other = f.CrashLoopChanged(node="n", consumer="selfplay", looping=True, crashes=5)
    assert life.at(0, loop) == life.at(1, other) == []
    raised = life.at(61, TICK)
    assert brief(raised) == [
        "AlertRaised crash-loop n trainer",
        "AlertRaised crash-loop n selfplay",
    ]
    assert raised[0].severity == "critical"
    assert raised[0].text == "trainer crashed 3 times in ten minutes: see its log"
    ended = f.CrashLoopChanged(node="n", consumer="trainer", looping=False, crashes=0)
    assert brief(life.at(700, ended)) == ["AlertCleared crash-loop n trainer"]


def test_a_failure_is_an_alert_after_a_minute_and_cleared_when_it_ends() -> None:
    life = Life(alerts.DECIDER)
    assert life.at(0, FAILED) == []
    assert life.at(59, TICK) == []
    (raised,) = life.at(60, TICK)
    assert raised == f.AlertRaised(
        alert="training-failed",
        scope=CONFIG,
        severity="critical",
        text="generation 3: out of memory",
        lasted_seconds=60,
    )
    assert life.at(120, FAILED) == []
    (cleared,) = life.at(300, finished())
    assert cleared == f.AlertCleared(alert="training-failed", scope=CONFIG, lasted_seconds=300)
    assert life.state.conditions == {}


def test_what_ends_within_a_minute_is_no_alert() -> None:
    life = Life(alerts.DECIDER)
    life.at(0, presence(False))
    assert life.at(59, presence(True)) == []
    assert life.at(HOUR, TICK) == []
    assert life.state.conditions == {}


def test_a_missing_consumer_is_named_with_its_remedy() -> None:
    life = Life(alerts.DECIDER)
    life.at(0, presence(False))
    (raised,) = life.at(60, TICK)
    assert (raised.alert, raised.scope, raised.severity) == (
        "consumer-missing",
        "trainer",
        "critical",
    )
    assert raised.text == "no process `trainer` runs on any node: start it"
    assert brief(life.at(90, presence(True))) == ["AlertCleared consumer-missing trainer"]


def test_a_pause_is_an_alert_after_six_hours() -> None:
    life = Life(alerts.DECIDER)
    life.at(0, f.PipelinePaused(scope="all", kind="training", why="repairs"))
    assert life.at(6 * HOUR - 1, TICK) == []
    (raised,) = life.at(6 * HOUR, TICK)
    assert (raised.alert, raised.item, raised.severity) == ("paused", "training", "warning")
    assert raised.text == "training: repairs; `ringrift resume` ends it"
    (cleared,) = life.at(7 * HOUR, f.PipelineResumed(scope="all", kind="training", why="repaired"))
    assert (cleared.alert, cleared.item) == ("paused", "training")


def test_the_times_are_settings() -> None:
    settings = Settings(alerts=AlertSettings(after_seconds=0.0, setback_seconds=0.0))
    life = Life(alerts.DECIDER)
    life.at(0, f.SettingsChanged(version=1, settings=settings, why="test"))
    assert brief(life.at(1, FAILED)) == [f"AlertRaised training-failed {CONFIG}"]


def test_two_resources_of_a_node_are_two_alerts() -> None:
    life = Life(alerts.DECIDER)
    life.at(0, pressure("critical", "disk"))
    life.at(0, pressure("emergency", "ram"))
    assert brief(life.at(60, TICK)) == [
        "AlertRaised resource-short n disk",
        "AlertRaised resource-short n ram",
    ]
    assert brief(life.at(90, pressure("warning", "disk"))) == ["AlertCleared resource-short n disk"]


def test_a_breaker_that_is_not_renewed_expires() -> None:
    life = Life(alerts.DECIDER)
    life.at(0, f.BreakerOpened(target="node-n", failures=10, threshold=10, why="broken"))
    assert brief(life.at(60, TICK)) == ["AlertRaised breaker-open node-n"]
    assert brief(life.at(6 * HOUR, TICK)) == ["AlertCleared breaker-open node-n"]


def test_dead_letters_are_one_alert_until_the_last_is_resolved() -> None:
    letters = [{"consumer": "rater", "stream": "EVENTS", "seq": n, "dead_seq": n} for n in (1, 2)]
    life = Life(alerts.DECIDER)
    for letter in letters:
        life.at(0, f.DeadLetterEscalated(attempts=4, reason="unknown", **letter))
    assert brief(life.at(60, TICK)) == ["AlertRaised dead-letters all"]
    solved = [f.DeadLetterResolved(outcome="dropped", why="test", **letter) for letter in letters]
    assert life.at(70, solved[0]) == []
    assert brief(life.at(80, solved[1])) == ["AlertCleared dead-letters all"]


@pytest.mark.parametrize("facts", [[], [velocity(-30.0)]])
def test_a_config_that_never_beats_the_heuristic_is_an_alert(facts: list[Fact]) -> None:
    """Also one whose candidates are all rejected, which has no velocity (requirement G10.10)."""
    life = Life(alerts.DECIDER)
    for fact in (*facts, shard(4_999, 4_999), shard(4_999, 4_999)):
        assert life.at(0, fact) == []
    assert life.at(HOUR, TICK) == []
    life.at(HOUR, shard(5_000, 1))
    assert brief(life.at(HOUR + 60, TICK)) == [f"AlertRaised below-heuristic {CONFIG}"]
    assert brief(life.at(2 * HOUR, velocity(1.0))) == [f"AlertCleared below-heuristic {CONFIG}"]


def test_conditions_are_bounded() -> None:
    life = Life(alerts.DECIDER)
    for number in range(alerts.CONDITIONS_MAX + 5):
        life.at(0, presence(False, f"c{number}"))
    assert len(life.state.conditions) == alerts.CONDITIONS_MAX


def test_every_rule_has_a_name_that_a_fact_can_carry() -> None:
    names = [rule.name.replace(" ", "-") for rule in RULES]
    assert len(set(names)) == len(names)
    for name in names:
        assert name.replace("-", "").isalnum()


def utilisation(waited: float, reason: str = alerts.NO_TICKET) -> f.UtilisationSampled:
    node = f.NodeUse(cores=2, busy={"selfplay": 120.0 - waited}, waited={reason: waited})
    return f.UtilisationSampled(seconds=60.0, nodes={"n": node})


def idle_alerts(sample: f.UtilisationSampled, settings: Settings, *before: Fact) -> list[str]:
    life = Life(alerts.DECIDER)
    life.at(0, f.SettingsChanged(version=1, settings=settings, why="w"))
    found = [one for fact in before for one in life.at(0, fact)]
    for minute in range(1, 31):
        found += life.at(60 * minute, sample)
    return brief(found)


def test_cores_that_wait_for_tickets_while_there_is_something_to_learn_are_an_alert() -> None:
    assert idle_alerts(utilisation(60.0), Settings()) == ["AlertRaised cores-idle all"]
    assert idle_alerts(utilisation(20.0), Settings()) == []
    assert idle_alerts(utilisation(120.0, "selfplay-is-paused"), Settings()) == []


def test_cores_may_idle_once_all_is_judged() -> None:
    verdict = f.PromotionRejected(
        config=CONFIG,
        generation=2,
        model="ab" * 32,
        current=None,
        evidence=None,
        why="w",
        settings_version=1,
    )
    assert idle_alerts(utilisation(120.0), Settings(generations=2), verdict) == []
    found = idle_alerts(utilisation(120.0), Settings(generations=3), verdict)
    assert found == ["AlertRaised cores-idle all"]
