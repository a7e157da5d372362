"""The alerter posts each change of an alert once, retries, and gives up with one dead letter."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import ValidationError, convert
from support.system import System, running, until

from ringrift.consumers import alerter
from ringrift.consumers.alerter import DELAYS_SECONDS
from ringrift.consumers.webhook import Undelivered
from ringrift.events import Settings, facts as f
from ringrift.events.settings import AlertSettings
from ringrift.runtime.dead_letter_retry import retry

URL = "https://alerts.example/hook"


def settings(url: str = URL, version: int = 1) -> f.SettingsChanged:
    chosen = Settings(configs=(), alerts=AlertSettings(webhook=url, after_seconds=0.0))
    return f.SettingsChanged(version=version, settings=chosen, why="test")


def presence(present: bool, consumer: str = "trainer") -> f.ConsumerPresenceChanged:
    return f.ConsumerPresenceChanged(consumer=consumer, present=present)


class Receiver:
    """Takes what is posted, but for what `refuses` chooses."""

    def __init__(self, refuses: Callable[[dict[str, Any]], bool] = lambda alert: False) -> None:
        self.refuses, self.tried = refuses, 0
        self.accepted: list[tuple[str, str]] = []
        self.keys: list[str] = []

    async def post(self, url: str, content: bytes, key: str) -> None:
        assert url == URL
        self.tried += 1
        alert = json.loads(content)["alerts"][0]
        if self.refuses(alert):
            raise Undelivered("status 500")
        self.accepted.append((alert["status"], alert["labels"]["scope"]))
        self.keys.append(key)


def acting(system: System, receiver: Receiver) -> Any:
    return running(alerter.main(system.process("alerter"), receiver.post))


async def test_what_is_raised_and_cleared_is_posted_once(system: System) -> None:
    receiver = Receiver()
    await system.write(settings(), presence(False))
    async with acting(system, receiver):
        await system.count(f.AlertDelivered, 1)
        await system.write(presence(True))
        await system.count(f.AlertDelivered, 2)
    async with acting(system, receiver):
        await system.write(presence(False, "rater"))
        await system.count(f.AlertDelivered, 3)
    assert receiver.accepted == [
        ("firing", "trainer"),
        ("resolved", "trainer"),
        ("firing", "rater"),
    ]
    assert len(set(receiver.keys)) == 3
    assert [fact.tries for fact in await system.facts(f.AlertDelivered)] == [1, 1, 1]


async def test_one_that_is_refused_delays_no_other(system: System) -> None:
    receiver = Receiver(lambda alert: alert["labels"]["scope"] == "trainer")
    await system.write(settings(), presence(False), presence(False, "rater"))
    async with acting(system, receiver):
        delivered, _ = await system.first(f.AlertDelivered)
        failed, _ = await system.first(f.AlertDeliveryFailed)
        (letter,) = await system.facts(f.DeadLetterStored)
        await until(lambda: ("firing", "all") in receiver.accepted)  # of the webhook itself
    assert (delivered.scope, failed.scope) == ("rater", "trainer")
    assert (failed.tries, failed.reason) == (len(DELAYS_SECONDS) + 1, "status 500")
    assert (f"{letter.stream}/{letter.seq}", letter.failure_recorded) == (failed.position, True)


async def test_a_receiver_that_recovers_gets_it_on_a_later_attempt(system: System) -> None:
    receiver = Receiver(lambda alert: receiver.tried < 3)
    await system.write(settings(), presence(False))
    async with acting(system, receiver):
        delivered, _ = await system.first(f.AlertDelivered)
    assert delivered.tries == 3
    assert not await system.facts(f.DeadLetterStored)


async def test_a_receiver_that_fails_again_and_again_is_left_alone_until_a_probe_succeeds(
    system: System,
) -> None:
    fails = True
    receiver = Receiver(lambda alert: fails)
    consumers = ("trainer", "rater", "planner", "exporter", "evaluator", "dispatcher")
    await system.write(settings(), *(presence(False, name) for name in consumers))
    async with acting(system, receiver):
        opened, _ = await system.first(f.BreakerOpened)
        tried = receiver.tried
        escalated, _ = await system.first(f.BreakerEscalated)
        assert receiver.tried == tried + 1, "one probe"
        fails = False
        system.loop.clock.seconds += escalated.retry_seconds
        await system.first(f.BreakerReset)
        await until(lambda: len(receiver.accepted) > len(consumers))  # one about the breaker too
    assert (opened.target, escalated.target, escalated.tier) == ("webhook", "webhook", 1)
    assert not await system.facts(f.DeadLetterStored), "an attempt that was not made is none"


async def test_a_dead_letter_is_posted_again_on_request(system: System) -> None:
    refusing = Receiver(lambda alert: True)
    await system.write(settings(), presence(False))
    async with acting(system, refusing):
        await system.first(f.AlertDeliveryFailed)
    (letter,) = await system.facts(f.DeadLetterStored)
    asked = f.DeadLetterRetryRequested(
        consumer="alerter", stream="EVENTS", seq=letter.seq, dead_seq=letter.dead_seq, attempt=1
    )
    outcome = await retry(system.log, asked)
    receiver = Receiver()
    async with acting(system, receiver):
        await system.write(outcome)
        await until(lambda: ("firing", "trainer") in receiver.accepted)


async def test_what_came_and_went_without_a_webhook_is_not_posted(system: System) -> None:
    receiver = Receiver()
    await system.write(settings(""), presence(False), presence(False, "rater"))
    async with acting(system, receiver):
        await system.count(f.AlertRaised, 2)
        await system.write(presence(True))
        await system.first(f.AlertCleared)
        await system.write(settings(version=2))
        await system.first(f.AlertDelivered)
    assert receiver.accepted == [("firing", "rater")]


async def test_a_clearing_waits_for_the_webhook_that_got_the_alert(system: System) -> None:
    receiver = Receiver()
    await system.write(settings(), presence(False))
    async with acting(system, receiver):
        await system.first(f.AlertDelivered)
        await system.write(settings("", version=2), presence(True))
        await system.first(f.AlertCleared)
        await system.write(settings(version=3))
        await system.count(f.AlertDelivered, 2)
    assert receiver.accepted == [("firing", "trainer"), ("resolved", "trainer")]


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://user:secret@x/", "https://x/ y", "x", "https://"]
)
def test_an_address_that_cannot_be_used_or_holds_a_password_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        convert({"webhook": url}, AlertSettings)
