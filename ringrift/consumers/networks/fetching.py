"""The networks that a worker uses: fetched by digest, verified and kept in memory, with the newest
older one in place of one that cannot be fetched.

A lost or damaged blob would otherwise stop self-play and training of its config until an operator
restores it (requirement G06.37). Matches measure one particular network, so they have no fallback.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

from ringrift.events.facts import FallbackModelUsed, ModelPromoted, ModelRolledBack
from ringrift.events.tickets import Ticket, config_of
from ringrift.learning.models import model_of
from ringrift.log import read
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Log
from ringrift.log.retry import Backoff
from ringrift.log.topology import MODEL_BUCKET
from ringrift.runtime.host import threads
from ringrift.runtime.process import Process
from ringrift.runtime.work import fields_of
from ringrift.search.harness import Model
from ringrift.trust.attesting import missing_attestations

NETWORKS_MAX = 4
"""networks in memory: both sides of a match, and those of the next one"""
CERTIFIED_SECONDS_MAX = 180.0
"""after a promotion, until its attestations are missed: coordinators look for it every half minute,
one round late"""
PAUSES = Backoff(first_seconds=1.0, longest_seconds=60.0, budget_seconds=None)
Found = TypeVar("Found")
Fetch = Callable[[str], Awaitable[Found]]


class Uncertified(StreamError):
    """Not enough coordinators attest a network, which the setting `trust.required` demands.

    `soon`: it was promoted, so they may."""

    def __init__(self, text: str, *, soon: bool) -> None:
        super().__init__(text)
        self.soon = soon


class Networks:
    """A cache of networks by digest and config that drops the least recently used one."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._kept: OrderedDict[tuple[str, str], Model] = OrderedDict()

    async def get(self, model: str, config: str) -> Model:
        """A network for games of a config. Raises BlobMissing, BlobCorrupt, CheckpointError."""
        key = model, config
        if key not in self._kept:
            data = await self._process.blobs.get(MODEL_BUCKET, model)
            load = partial(model_of, data, digest=model, config=config, threads=threads())
            self._kept[key] = await asyncio.to_thread(load)
        self._kept.move_to_end(key)
        while len(self._kept) > NETWORKS_MAX:
            self._kept.popitem(last=False)
        return self._kept[key]


async def wanted_or_older(
    process: Process, ticket: Ticket, wanted: str, fetch: Fetch[Found]
) -> tuple[str, Found]:
    """The network that the ticket names, with its digest; an older one after
    `operation.fetch_tries` failures or `operation.fetch_seconds_max`. Using an older one is
    recorded. With `trust.required`, a network must have been promoted or rolled back to, and that
    must be attested.

    Raises the last StreamError or TimeoutError if no older one can be fetched either, Drained when
    the process stops."""
    operation, now, pauses = process.controls.operation, process.clock.monotonic, PAUSES.pauses()
    began, tries = now(), 0
    limit = operation.fetch_seconds_max
    while True:
        try:
            async with asyncio.timeout(max(0.0, limit - (now() - began))):
                await _certified(process, ticket, wanted)
                return wanted, await fetch(wanted)
        except (StreamError, TimeoutError) as error:
            failure = error
        tries, seconds = tries + 1, now() - began
        reason = f"{type(failure).__name__}: {failure}".removesuffix(": ")
        waits = (
            isinstance(failure, Uncertified) and failure.soon and seconds < CERTIFIED_SECONDS_MAX
        )
        if seconds >= limit or (tries >= operation.fetch_tries and not waits):
            break
        process.logger.warning("network not fetched", model=wanted, tries=tries, reason=reason)
        await process.wait(min(next(pauses), limit - seconds))
        process.check_stop()
    for model, since in await were_current(process.log, config_of(ticket), before=wanted):
        with contextlib.suppress(StreamError):  # try the next older one
            await _certified(process, ticket, model)
            found = await fetch(model)
            fact = FallbackModelUsed(
                **fields_of(process, ticket),
                wanted=wanted,
                used=model,
                fetch_tries=tries,
                fetch_seconds=seconds,
                age_seconds=(process.clock.now() - since).total_seconds(),
                reason=reason,
            )
            process.logger.error("older network used", wanted=wanted, used=model, reason=reason)
            await process.append(fact, cause=ticket.cause, key=ticket.ticket)
            return model, found
    raise failure


async def _certified(process: Process, ticket: Ticket, model: str) -> None:
    """Raise Uncertified if the settings in force demand a certificate that the network lacks."""
    settings, _ = await process.settings()
    if settings.trust.required:
        why = await missing_attestations(process.log, config_of(ticket), model)
        if why:
            promoted = await were_current(process.log, config_of(ticket), before="")
            soon = model in (name for name, _ in promoted)
            raise Uncertified(f"network {model[:12]} is {why}", soon=soon)


async def were_current(log: Log, config: str, before: str) -> list[tuple[str, datetime]]:
    """Former incumbents that preceded the network `before`, and when each was promoted, newest
    first. Networks that were rolled back are left out. All incumbents precede a network that was
    never promoted."""
    since: dict[str, datetime] = {}
    async for event, meta in read.facts(log, ModelPromoted, ModelRolledBack, scope=config):
        if isinstance(event, ModelRolledBack):
            since.pop(event.model, None)
        elif isinstance(event, ModelPromoted):
            since[event.model] = meta.time
    models = list(since)
    older = models[: models.index(before)] if before in models else models
    return [(model, since[model]) for model in reversed(older)]
