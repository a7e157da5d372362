"""Rents, returns and restarts nodes by the operator's hook, as `fleet/renting.py` and
`fleet/recovery.py` decide, and compares what the provider says it runs with what was recorded.

The hook is the program that `RINGRIFT_RENT_HOOK` names in the environment of this process, never a
setting: who may change settings must not choose programs that run here. Without it nothing is
done, so that another node with a hook acts. Each request is carried out under an idempotency key,
the digest of the id of its event; after a crash it is carried out again under the same key. One
renter acts, under a lease."""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Mapping

from ringrift.consumers import hook
from ringrift.consumers.hook import Answer, HookFailed, HookRefused, Listed
from ringrift.deciders.fleet.rented import Renting
from ringrift.events import EventMeta, Fact, Recorded, facts as f
from ringrift.events.settings import RentingSettings
from ringrift.log import read
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.decide import act
from ringrift.runtime.process import Job, Process
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.run import run

DELAYS_SECONDS = (5.0, 30.0)
"""before each further attempt of a request whose effect is unknown, under the same key"""
CALL_SECONDS = 1.0
"""between two calls of the hook, so that a provider's limits are kept"""
BREAKER = "rent-hook"
KEY_DIGITS = 32
LOOK_SECONDS = 10.0
LISTS_MIN = 2
"""successive lists that must agree on what is missing or not explained: a provider's list may be
late"""
REQUESTS = (f.NodeRentRequested, f.NodeReturnRequested, f.RecoveryActionRequested)
OUTCOMES = (
    *(f.NodeRented, f.NodeRentFailed, f.NodeReturned, f.NodeReturnFailed),
    f.RecoveryActionTaken,
)
BOOK = (*REQUESTS, *OUTCOMES, f.OrphanFound)


class Book:
    """What was recorded: requests without an outcome, and instances that cost, by node."""

    def __init__(self) -> None:
        self.open: dict[str, Recorded] = {}
        """by position"""
        self.asked: dict[str, str] = {}
        """offers by node, of what was asked for and may be running already"""
        self.rented: dict[str, str] = {}
        """instances by node, orphans included"""

    def take(self, recorded: Recorded) -> None:
        """Fold an event; events are folded in the order of the log."""
        event, meta = recorded
        if isinstance(event, REQUESTS):
            if not isinstance(event, f.RecoveryActionRequested) or event.action == "restart":
                self.open[meta.position] = recorded
            if isinstance(event, f.NodeRentRequested):
                self.asked[event.node] = event.offer
        elif isinstance(event, OUTCOMES):
            self.open.pop(meta.cause or "", None)
        if isinstance(event, f.NodeRented | f.NodeRentFailed):
            self.asked.pop(event.node, None)
        if isinstance(event, f.NodeRented | f.OrphanFound):
            self.rented[event.node] = event.instance
        elif isinstance(event, f.NodeReturned):
            self.rented = {name: one for name, one in self.rented.items() if one != event.instance}


async def main(process: Process) -> None:
    """Act as the renter while this process holds the lease and has a hook; stand by otherwise."""
    command = os.environ.get(hook.HOOK, "").strip()
    if not command:
        process.doing = f"renting nothing: {hook.HOOK} is not set here"
        while not process.stopping:
            await process.wait(LOOK_SECONDS)
        return

    def jobs(process: Process, fence: Expect) -> dict[str, Job]:
        renter = Renter(process, fence, command)
        return {
            "requests": renter.carry_out_requests,
            "reconciliation": renter.reconcile,
            "breakers": process.breakers.shared.follow,
        }

    await act(process, PROCESSES["renter"].deciders, role="renter", jobs=jobs)


class Renter:
    """Carries out requests, one call of the hook at a time."""

    def __init__(self, process: Process, fence: Expect, command: str) -> None:
        self._process, self._fence, self._command = process, fence, command
        self._calling = asyncio.Lock()
        self._doubts: dict[str, int] = {}
        """lists in a row that disagree with the book, by instance"""

    async def carry_out_requests(self) -> None:
        """Carry out the requests without an outcome, and those that come, until cancelled."""
        book, tail = Book(), await self._process.log.tail(EVENTS)
        async for recorded in read.facts(self._process.log, *BOOK, until=tail):
            book.take(recorded)
        for waiting in list(book.open.values()):
            await self._carry_out(waiting, book)
        async for recorded in read.follow(self._process.log, *BOOK, after=tail):
            book.take(recorded)
            if recorded.meta.position in book.open:
                await self._carry_out(recorded, book)

    async def _carry_out(self, request: Recorded, book: Book) -> None:
        event, meta = request
        outcome = await self._outcome(event, key_of(meta), book)
        await self._process.append(outcome, cause=meta.position, expect=self._fence)
        name = type(outcome).__name__
        self._process.logger.info("request carried out", outcome=name, cause=meta.position)

    async def _outcome(self, event: Fact, key: str, book: Book) -> Fact:
        """What came of a request."""
        if isinstance(event, f.NodeRentRequested):
            most, node = event.cost_per_hour, event.node
            answer = await self._persist(
                key, verb="rent", name=node, offer=event.offer, cost_per_hour_max=most
            )
            if isinstance(answer, str) or not answer.id:
                reason = answer if isinstance(answer, str) else "the hook named no instance"
                return f.NodeRentFailed(node=node, offer=event.offer, reason=reason)
            cost = most if answer.cost_per_hour is None else answer.cost_per_hour
            return f.NodeRented(
                node=node, offer=event.offer, instance=answer.id, cost_per_hour=cost
            )
        if isinstance(event, f.NodeReturnRequested):
            node, instance = event.node, event.instance
            answer = await self._persist(key, verb="return", name=node, id=instance)
            if isinstance(answer, str):
                return f.NodeReturnFailed(node=node, instance=instance, reason=answer)
            return f.NodeReturned(node=node, instance=instance, asked=True)
        assert isinstance(event, f.RecoveryActionRequested)
        node, instance = event.node, book.rented.get(event.node, "")
        answer = await self._persist(key, verb="restart", name=node, id=instance)
        reason = answer if isinstance(answer, str) else ""
        return f.RecoveryActionTaken(node=node, action=event.action, done=not reason, reason=reason)

    async def _persist(self, key: str, **words: object) -> Answer | str:
        """The answer of the hook, or why there is none. What it refuses is refused; where its
        effect is unknown it is asked again under the same key."""
        reason = ""
        for delay in (0.0, *DELAYS_SECONDS):
            await asyncio.sleep(delay)
            try:
                return await self._call({"key": key, **words})
            except HookRefused as error:
                return str(error) or "refused"
            except HookFailed as error:
                reason = str(error)
                self._process.logger.warning("hook failed", reason=reason, **words)
        return reason

    async def _call(self, request: Mapping[str, object]) -> Answer:
        """Call the hook once, not too soon after the last call, nor while its breaker is open.
        Raises HookFailed."""
        settings = await self._settings()
        breakers = self._process.breakers
        async with self._calling:
            while not breakers.allows(BREAKER):  # noqa: ASYNC110  it expires without an event
                await asyncio.sleep(LOOK_SECONDS)
            await breakers.probing(BREAKER)
            try:
                answer = await hook.call(self._command, request, settings.hook_seconds)
            except HookRefused:
                await breakers.worked(BREAKER)
                raise
            except HookFailed as error:
                await breakers.failed(BREAKER, str(error))
                raise
            else:
                await breakers.worked(BREAKER)
                return answer
            finally:
                await asyncio.sleep(CALL_SECONDS)

    async def _settings(self) -> RentingSettings:
        return (await self._process.settings())[0].renting

    async def reconcile(self) -> None:
        """Compare what the provider runs with the book, again and again, until cancelled."""
        while True:
            settings = await self._settings()
            self._measure()
            try:
                await self._reconcile_once()
            except HookFailed as error:
                self._process.logger.warning("hook failed", verb="list", reason=str(error))
            await asyncio.sleep(settings.reconcile_seconds)

    def _measure(self) -> None:
        """Show in the metrics what the decider knows of what is rented."""
        fold = self._process.folds.get("renting")
        if fold is None:
            return
        state: Renting = fold.state
        values = {
            "nodes": sum(bool(node.instance) for node in state.nodes.values()),
            "cost_per_hour": state.cost_per_hour,
            "cost": state.spent,
            "orphans": len(state.orphans),
        }
        for name, value in values.items():
            self._process.metrics.set(f"ringrift_rented_{name}", value)

    async def _reconcile_once(self) -> None:
        book = Book()
        async for recorded in read.facts(self._process.log, *BOOK):
            book.take(recorded)
        listed = (await self._call({"verb": "list"})).instances
        if listed is None:  # not taken for an empty list: then everything would have ended
            raise HookFailed("the hook listed no instances")
        facts = self._differences(book, listed)
        seen = {instance: self._doubts.get(instance, 0) + 1 for instance in facts}
        for instance, fact in facts.items():
            if seen[instance] >= LISTS_MIN:
                key = f"{instance}.{self._fence.last_seq}.{self._process.clock.wall():.3f}"
                await self._process.append(fact, key=key, expect=self._fence)
        self._doubts = seen

    def _differences(self, book: Book, listed: Iterable[Listed]) -> dict[str, Fact]:
        """What the book and a list disagree on, by instance."""
        found: dict[str, Fact] = {}
        known, runs = set(book.rented.values()), {one.id for one in listed}
        for one in listed:
            if one.id in known or one.name in book.asked:
                continue
            found[one.id] = f.OrphanFound(
                node=_node_of(one),
                instance=one.id,
                offer=one.offer,
                cost_per_hour=one.cost_per_hour,
            )
        for node, instance in book.rented.items():
            if instance not in runs:
                found[instance] = f.NodeReturned(node=node, instance=instance, asked=False)
        return found


def key_of(meta: EventMeta) -> str:
    """The idempotency key of a request: hexadecimal digits, since labels allow little else."""
    return hashlib.sha256(meta.id.encode()).hexdigest()[:KEY_DIGITS]


def _node_of(one: Listed) -> str:
    """The name of an orphan: that of its node if it has one, else one that it always gets."""
    if hook.is_name(one.name):
        return one.name
    return f"orphan-{hashlib.sha256(one.id.encode()).hexdigest()[:12]}"


if __name__ == "__main__":
    run("renter", main)
