"""`ringrift tune`: hyperparameters of one config as a fact, which its next training request takes up."""

from __future__ import annotations

import argparse

import msgspec

from ringrift.events import decode
from ringrift.events.facts import HyperparametersAdjusted
from ringrift.events.settings import HYPERPARAMETERS
from ringrift.events.settings_sources import from_arguments, load
from ringrift.ops.arena import settings_in_force
from ringrift.ops.control import known_scope, tell
from ringrift.ops.errors import CommandError
from ringrift.ops.source import opened
from ringrift.streams.log import Log
from ringrift.streams.topology import EVENTS


async def tune(options: argparse.Namespace) -> int:
    """Change them, or without `--set` and `--reset` show them. Raises CommandError, SettingsError for what cannot be tuned so."""
    config, given = known_scope(options.config), from_arguments(options.set)
    if unknown := sorted(given.keys() - HYPERPARAMETERS):
        raise CommandError(f"{', '.join(unknown)} cannot be tuned for one config; these can: {', '.join(sorted(HYPERPARAMETERS))}")
    async with opened(options) as log:
        settings, version = await settings_in_force(log)
        before = await adjusted(log, config)
        values = {**({} if options.reset else before), **given}
        load(values, base=settings)
        if given or options.reset:
            await tell(log, HyperparametersAdjusted(config=config, values=values, why=options.why, settings_version=version))
    if options.json:
        print(msgspec.json.encode({"config": config, "values": values}).decode())
    else:
        print(f"{config}: {', '.join(f'{name}={value}' for name, value in values.items()) or 'as the settings say'}")
    return 0


async def adjusted(log: Log, config: str) -> dict[str, str]:
    """What is other than the settings say, by name."""
    last = await log.last(EVENTS, f"ringrift.hyperparameters.{config}.adjusted")
    event = decode(last.body, stream=EVENTS, seq=last.seq).event if last else None
    return event.values if isinstance(event, HyperparametersAdjusted) else {}
