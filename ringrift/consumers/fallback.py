"""A network that cannot be fetched: try for a while, then do the work with the newest older one
that can be had, and say so.

A lost or damaged blob would otherwise stop self-play and training of its config until somebody
brings it back (requirement G06.37). Matches measure one certain network, so they know no fallback.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from ringrift.events.facts import FallbackModelUsed, ModelPromoted, ModelRolledBack
from ringrift.events.tickets import Ticket, config_of
from ringrift.log import read
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Log
from ringrift.log.retry import Backoff
from ringrift.runtime.process import Process

PAUSES = Backoff(first_seconds=1.0, longest_seconds=60.0, budget_seconds=None)
"""between two tries"""

Found = TypeVar("Found")


async def wanted_or_older(
    process: Process, ticket: Ticket, wanted: str, fetch: Callable[[str], Awaitable[Found]]
) -> tuple[str, Found]:
    """The network that the ticket wants, or after `operation.fetch_tries` or `fetch_seconds_max` an
    older one; with its digest.

    Raises the last try's StreamError or TimeoutError if no older one can be had either, Drained
    when told to stop."""
    began, tries, pauses = time.monotonic(), 0, PAUSES.pauses()
    limit = process.operation.fetch_seconds_max
    while True:
        try:
            async with asyncio.timeout(max(0.0, limit - (time.monotonic() - began))):
                return wanted, await fetch(wanted)
        except (StreamError, TimeoutError) as error:
            failure = error
        tries, seconds = tries + 1, time.monotonic() - began
        if tries >= process.operation.fetch_tries or seconds >= limit:
            break
        process.logger.warning(
            "network not fetched", model=wanted, tries=tries, reason=_text(failure)
        )
        await process.wait(min(next(pauses), limit - seconds))
        process.check_stop()
    for model, since in await were_current(process.log, config_of(ticket), before=wanted):
        with contextlib.suppress(StreamError):  # then one that is older still
            found = await fetch(model)
            fact = FallbackModelUsed(
                config=config_of(ticket),
                ticket=ticket.ticket,
                wanted=wanted,
                used=model,
                fetch_tries=tries,
                fetch_seconds=seconds,
                age_seconds=(datetime.now(UTC) - since).total_seconds(),
                reason=_text(failure),
                node=process.node,
            )
            process.logger.error(
                "an older network is used",
                ticket=ticket.ticket,
                wanted=wanted,
                used=model,
                reason=fact.reason,
            )
            await process.log.append([process.draft(fact, cause=ticket.cause, key=ticket.ticket)])
            return model, found
    raise failure


async def were_current(log: Log, config: str, before: str) -> list[tuple[str, datetime]]:
    """Networks that were current and when they became so, newest first, without `before`, what came
    after it, and what was rolled back. One that never was current came after all that were."""
    since: dict[str, datetime] = {}
    async for event, meta in read.facts(log, ModelPromoted, ModelRolledBack):
        if isinstance(event, ModelRolledBack) and event.config == config:
            since.pop(event.model, None)
        elif isinstance(event, ModelPromoted) and event.config == config:
            since[event.model] = meta.time
    models = list(since)
    older = models[: models.index(before)] if before in models else models
    return [(model, since[model]) for model in reversed(older)]


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
