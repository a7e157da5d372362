"""`ringrift pause`, `ringrift resume` and `ringrift breakers`: steering by facts, so that it
outlives every process."""

from __future__ import annotations

import argparse
import time
from typing import get_args

import msgspec

from ringrift.cli.source import opened
from ringrift.errors import CommandError
from ringrift.events import Fact, draft, facts
from ringrift.events.facts import BreakerReset, PipelinePaused, PipelineResumed
from ringrift.log.breakers import BreakerBucket
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Log
from ringrift.runtime.breakers import Breakers
from ringrift.runtime.controls import pauses_in_force, resume_command
from ringrift.runtime.machine import node_name


async def pause(options: argparse.Namespace) -> int:
    """Stop new work; what is in hand is finished."""
    scope = _scope(options.config)
    async with opened(options) as log:
        before = await pauses_in_force(log)
        if f"{scope}/{options.kind}" in before:
            return _say(
                options,
                before,
                f"{_name(scope, options.kind)} is paused already: {before[f'{scope}/{options.kind}']}",
            )
        await tell(log, PipelinePaused(scope=scope, kind=options.kind, why=options.why))
        return _say(
            options,
            await pauses_in_force(log),
            f"{_name(scope, options.kind)} is paused; tickets in hand are finished",
        )


async def resume(options: argparse.Namespace) -> int:
    """End a pause of the same scope and kind, or all pauses. Raises CommandError if there is
    none."""
    async with opened(options) as log:
        before = await pauses_in_force(log)
        ended = sorted(before) if options.all else [f"{_scope(options.config)}/{options.kind}"]
        if not options.all and ended[0] not in before:
            others = "; ".join(
                f"`{resume_command(what)}` would end the pause {what}" for what in sorted(before)
            )
            raise CommandError(
                f"{_name(*ended[0].split('/'))} is not paused: {others or 'nothing is'}"
            )
        for what in ended:
            scope, kind = what.split("/")
            fact = msgspec.convert(
                {"scope": scope, "kind": kind, "why": options.why}, PipelineResumed
            )
            await tell(log, fact)
        return _say(
            options,
            await pauses_in_force(log),
            f"resumed: {', '.join(ended) or 'nothing was paused'}",
        )


async def list_breakers(options: argparse.Namespace) -> int:
    """What is left alone, since how many failures, and why."""
    async with opened(options) as log:
        found = (await _breakers(log)).shared()
        if options.json:
            print(msgspec.json.encode(found).decode())
        for name, item in () if options.json else sorted(found.items()):
            left = max(0.0, item.until - time.time())
            print(
                f"{name}  {item.state}, {item.failures} failures, probed in {left:.0f} s: {item.why}"
            )
        if not found and not options.json:
            print("no breaker is open")
    return 0


async def reset_breaker(options: argparse.Namespace) -> int:
    """Use a target again at once. Raises CommandError if it has no breaker."""
    async with opened(options) as log:
        breakers = await _breakers(log)
        if options.target not in breakers.shared():
            raise CommandError(
                f"no breaker is open for {options.target}: see `ringrift breakers list`"
            )
        await breakers.reset(options.target)
        await tell(log, BreakerReset(target=options.target, why=options.why))
        print(f"{options.target} is used again")
    return 0


async def tell(log: Log, fact: Fact) -> int:
    """Append a fact that a person caused; its sequence."""
    item = draft(fact, cause=None, source=f"ringrift@{node_name()}", key=str(time.time_ns()))
    return (await log.append([item]))[0]


async def _breakers(log: JetStreamLog) -> Breakers:
    async def nobody(fact: Fact, key: str) -> None:
        """The command tells by itself."""

    bucket = BreakerBucket(log)
    await bucket.load()
    return Breakers(bucket, nobody)


def _scope(config: str | None) -> str:
    return "all" if config is None else known_scope(config)


def known_scope(config: str) -> str:
    """The config, which exists. Raises CommandError."""
    known = get_args(facts.ConfigName)
    if config not in known:
        raise CommandError(f"unknown config {config!r}; configs are {', '.join(known)}")
    return config


def _name(scope: str, kind: str) -> str:
    what = "everything" if kind == "all" else kind
    return f"{what} of {'all configs' if scope == 'all' else scope}"


def _say(options: argparse.Namespace, paused: dict[str, str], text: str) -> int:
    print(msgspec.json.encode({"paused": paused}).decode() if options.json else text)
    return 0
