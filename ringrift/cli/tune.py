"""`ringrift tune`: hyperparameters of one config as a fact, which its next training request takes
up."""

from __future__ import annotations

import argparse

import msgspec

from ringrift.cli.control import known_scope, tell
from ringrift.cli.source import opened
from ringrift.errors import CommandError
from ringrift.events import decode
from ringrift.events.facts import HyperparametersAdjusted
from ringrift.events.settings import HYPERPARAMETERS
from ringrift.events.settings_sources import from_arguments, load
from ringrift.log.protocol import Log
from ringrift.log.read import settings_in_force
from ringrift.log.topology import EVENTS


async def tune(options: argparse.Namespace) -> int:
    """Change them, or without `--set` and `--reset` show them. Raises CommandError, SettingsError
    for what cannot be tuned so."""
    config, given = known_scope(options.config), from_arguments(options.set)
    if unknown := sorted(given.keys() - HYPERPARAMETERS):
        raise CommandError(
            f"{', '.join(unknown)} cannot be tuned for one config; these can: {', '.join(sorted(HYPERPARAMETERS))}"
        )
    async with opened(options) as log:
        settings, version = await settings_in_force(log)
        before = await adjusted(log, config)
        values, factors = (
            ({}, {}) if options.reset or before is None else (before.values, before.factors)
        )
        fact = HyperparametersAdjusted(
            config=config,
            values={**values, **given},
            why=options.why,
            settings_version=version,
            factors={name: factor for name, factor in factors.items() if name not in given},
        )
        load(fact.values, base=settings)
        if given or options.reset:
            await tell(log, fact)
            before = fact
    if options.json:
        print(
            msgspec.json.encode(
                {"config": config, "values": fact.values, "factors": fact.factors}
            ).decode()
        )
    else:
        print(f"{config}: {_shown(fact)}{f' ({before.why})' if before and before.values else ''}")
    return 0


async def adjusted(log: Log, config: str) -> HyperparametersAdjusted | None:
    """The newest fact of what is other than the settings say."""
    last = await log.last(EVENTS, f"ringrift.hyperparameters.{config}.adjusted")
    event = decode(last.body, stream=EVENTS, seq=last.seq).event if last else None
    return event if isinstance(event, HyperparametersAdjusted) else None


def _shown(fact: HyperparametersAdjusted) -> str:
    """Names and values; the factor where no person chose it."""
    return (
        ", ".join(
            f"{name}={value}"
            + (f" ({fact.factors[name]:.2f} of the setting)" if name in fact.factors else "")
            for name, value in fact.values.items()
        )
        or "as the settings say"
    )
