"""Decides which conditions are alerts, and posts each that is raised or cleared to the receiver at
the setting `alerts.webhook` (`ringrift.consumers.webhook`).

Each is posted at least once, in order by alert; one that the receiver does not accept delays no
other. After the last attempt it becomes a dead letter, and `ringrift dlq retry` asks for more. An
alert that came and went while no webhook was set is not posted. One alerter acts, under a lease."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypedDict

from ringrift.consumers import webhook
from ringrift.consumers.webhook import Change, Undelivered
from ringrift.deciders.fleet.alerts import name_of
from ringrift.events import Fact, Recorded, facts as f
from ringrift.log import read
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.decide import act
from ringrift.runtime.process import Job, Process
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.run import run

DELAYS_SECONDS = (5.0, 30.0, 120.0, 300.0)
"""before each further attempt; a receiver may be restarted meanwhile"""
POSTS_MAX = 8
"""at a time"""
TARGET = "webhook"
"""of the breaker: while it is open, one alert at a time is tried, and the others wait"""
LOOK_SECONDS = 1.0
"""between two looks whether it is closed"""
CHANGES = (f.AlertRaised, f.AlertCleared)
OUTCOMES = (f.AlertDelivered, f.AlertDeliveryFailed)
READS = (*CHANGES, *OUTCOMES, f.DeadLetterResolved, f.SettingsChanged)
Post = Callable[[str, bytes, str], Awaitable[None]]


class Identity(TypedDict):
    """Fields of every fact about a delivery."""

    alert: str
    scope: str
    item: str
    position: str


class Outbox:
    """The changes of alerts that have no outcome, in order by alert, and the webhook."""

    def __init__(self) -> None:
        self.url = ""
        self.waiting: dict[str, dict[str, Recorded[Change]]] = {}
        """by alert, then by position"""
        self.raised: dict[str, f.AlertRaised] = {}
        """as raised last, for the text of what is cleared"""
        self.asked: dict[str, str] = {}
        """the position of the newest request to post a change, if that is not the change"""

    def take(self, recorded: Recorded) -> str | None:
        """Fold a fact; the position of a change that a dead letter of ours asks to post again."""
        event, meta = recorded
        if isinstance(event, f.SettingsChanged):
            self.url = event.settings.alerts.webhook
        elif isinstance(event, OUTCOMES):
            self.waiting.get(name_of(event), {}).pop(event.position, None)
        elif isinstance(event, CHANGES):
            self._take_change(Recorded(event, meta))
        elif isinstance(event, f.DeadLetterResolved) and (again := _asked_for(event)):
            self.asked[again] = meta.position
            return again
        return None

    def again(self, change: Recorded[Change]) -> None:
        """A change is to be posted again."""
        self.waiting.setdefault(name_of(change.event), {})[change.meta.position] = change

    def _take_change(self, change: Recorded[Change]) -> None:
        name = name_of(change.event)
        known = self.waiting.setdefault(name, {})
        if isinstance(change.event, f.AlertRaised):
            self.raised[name] = change.event
        elif not self.url and known:  # that it was raised was not posted either
            known.clear()
            return
        known[change.meta.position] = change


async def main(process: Process, post: Post = webhook.post) -> None:
    """Act as the alerter while this process holds the lease; stand by otherwise."""

    def jobs(process: Process, fence: Expect) -> dict[str, Job]:
        follow = process.breakers.shared.follow
        return {"delivery": lambda: deliver(process, fence, post), "breakers": follow}

    await act(process, PROCESSES["alerter"].deciders, role="alerter", jobs=jobs)


async def deliver(process: Process, fence: Expect, post: Post = webhook.post) -> None:
    """Post what has no outcome, and what comes, until cancelled."""
    outbox, tail = Outbox(), await process.log.tail(EVENTS)
    async for recorded in read.facts(process.log, *READS, until=tail):
        await _take(process, outbox, recorded)
    delivery = Delivery(process, fence, outbox, post)
    try:
        async with asyncio.TaskGroup() as tasks:
            delivery.start(tasks)
            async for recorded in read.follow(process.log, *READS, after=tail):
                await _take(process, outbox, recorded)
                delivery.start(tasks)
    except BaseExceptionGroup as group:  # the first error tells whether this job is run again
        raise group.exceptions[0] from group


async def _take(process: Process, outbox: Outbox, recorded: Recorded) -> None:
    if (position := outbox.take(recorded)) is not None:
        found = await read.fact_at(process.log, position)
        if found is not None and isinstance(found.event, CHANGES):
            outbox.again(Recorded(found.event, found.meta))


class Delivery:
    """One task for every alert that has something to post."""

    def __init__(self, process: Process, fence: Expect, outbox: Outbox, post: Post) -> None:
        self._process, self._fence, self._outbox, self._post = process, fence, outbox, post
        self._active: set[str] = set()
        self._slots = asyncio.Semaphore(POSTS_MAX)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start the tasks that are missing, if a webhook is set."""
        for name, waiting in self._outbox.waiting.items():
            if self._outbox.url and waiting and name not in self._active:
                self._active.add(name)
                tasks.create_task(self._post_all(name))

    async def _post_all(self, name: str) -> None:
        waiting = self._outbox.waiting[name]
        while waiting and self._outbox.url:
            await self._deliver(next(iter(waiting.values())))
        self._active.discard(name)

    async def _deliver(self, change: Recorded[Change]) -> None:
        """Post one change, as often as it takes, and record the outcome."""
        content = webhook.body(change, self._outbox.raised.get(name_of(change.event)))
        reason = ""
        for tries, delay in enumerate((0.0, *DELAYS_SECONDS), start=1):
            await asyncio.sleep(delay)
            try:
                async with self._slots:
                    while not self._process.breakers.allows(TARGET):  # noqa: ASYNC110  it expires
                        await asyncio.sleep(LOOK_SECONDS)
                    if not (url := self._outbox.url):
                        return
                    await self._process.breakers.probing(TARGET)
                    await self._post(url, content, change.meta.id)
            except Undelivered as error:
                reason = str(error)
                await self._process.breakers.failed(TARGET, reason)
                self._process.metrics.add("ringrift_webhook_posts_total", "failed")
                self._process.logger.warning("alert not delivered", tries=tries, reason=reason)
                continue
            await self._process.breakers.worked(TARGET)
            self._process.metrics.add("ringrift_webhook_posts_total", "delivered")
            await self._record(f.AlertDelivered(**_identity(change), tries=tries), change)
            return
        await self._give_up(change, tries, reason)

    async def _give_up(self, change: Recorded[Change], tries: int, reason: str) -> None:
        entry = await self._process.log.get(EVENTS, change.meta.seq)
        if entry is not None:
            await self._process.dead_letter(entry, EVENTS, tries, reason, failure_recorded=True)
        failed = f.AlertDeliveryFailed(**_identity(change), tries=tries, reason=reason)
        await self._record(failed, change)

    async def _record(self, outcome: Fact, change: Recorded[Change]) -> None:
        position = change.meta.position
        key = self._outbox.asked.get(position, "first")
        await self._process.append(outcome, cause=position, key=key, expect=self._fence)
        self._outbox.waiting[name_of(change.event)].pop(position, None)


def _asked_for(fact: f.DeadLetterResolved) -> str | None:
    """The position of a change that is to be posted again."""
    ours = fact.consumer == "alerter" and fact.outcome != "dropped"
    return f"{fact.stream}/{fact.seq}" if ours else None


def _identity(change: Recorded[Change]) -> Identity:
    event = change.event
    position = change.meta.position
    return Identity(alert=event.alert, scope=event.scope, item=event.item, position=position)


if __name__ == "__main__":
    run("alerter", main)
