"""`ringrift settings`: what is in force, and what is to be from now on. A cluster has no `ringrift
up` that would say it."""

from __future__ import annotations

import argparse

import msgspec
from msgspec.structs import replace

from ringrift.cli.source import opened
from ringrift.errors import CommandError
from ringrift.events import Settings, decode, draft
from ringrift.events.facts import SettingsChanged
from ringrift.events.settings_sources import from_arguments, load
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Expect
from ringrift.runtime.machine import node_name


async def settings(options: argparse.Namespace) -> int:
    """Change what `--settings` and `--set` name, if anything, then print all as JSON. Raises
    SettingsError, CommandError."""
    given = from_arguments(options.set)
    file = options.settings.read_bytes() if options.settings else None
    async with opened(options) as log:
        chosen = await settings_in_force(log) or Settings()
        if given or file is not None:
            chosen = with_known_architecture(load(given, file=file, base=chosen))
            await apply_settings(log, chosen, options.why)
    print(
        msgspec.json.format(msgspec.json.encode(chosen), indent=-1 if options.json else 2).decode()
    )
    return 0


async def settings_in_force(log: JetStreamLog) -> Settings | None:
    """The settings the log says are in force, None before there are any."""
    last = await log.last("EVENTS", "ringrift.settings.all.changed")
    if last is None:
        return None
    event = decode(last.body, stream="EVENTS", seq=last.seq).event
    assert isinstance(event, SettingsChanged)
    return event.settings


async def apply_settings(log: JetStreamLog, settings: Settings, why: str) -> int:
    """Make `settings` the ones in force unless they are already; their version."""
    subject = "ringrift.settings.all.changed"
    last = await log.last("EVENTS", subject)
    version = 0
    if last is not None:
        event = decode(last.body, stream="EVENTS", seq=last.seq).event
        assert isinstance(event, SettingsChanged)
        version = event.version
        if event.settings == settings:
            return version
    changed = SettingsChanged(version=version + 1, settings=settings, why=why)
    item = draft(changed, cause=None, source=f"ringrift@{node_name()}", key=version + 1)
    await log.append([item], Expect(subject, last.seq if last else 0))
    return version + 1


def with_known_architecture(settings: Settings) -> Settings:
    """The settings with the architecture under its present name; an old one is warned of. Raises
    CommandError."""
    from ringrift.nets.shapes import NNUES, UnknownArchitecture, canonical, nnue_shape_of
    from ringrift.rules.config import Config

    try:
        name = canonical(settings.training.architecture)
        if name in NNUES:
            for config in settings.configs:
                nnue_shape_of(name, Config.parse(config))
    except UnknownArchitecture as error:
        raise CommandError(f"training.architecture: {error}") from error
    return replace(settings, training=replace(settings.training, architecture=name))
