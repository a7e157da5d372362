"""Facts that a person writes: settings, pauses, corrections."""

import codecs
import time
from pathlib import Path

from msgspec.structs import replace

from ringrift.errors import CommandError
from ringrift.events import Fact, Settings, draft, type_of
from ringrift.events.facts import SettingsChanged
from ringrift.log.protocol import Expect, Log
from ringrift.log.read import latest
from ringrift.log.topology import EVENTS
from ringrift.runtime.host import node_name


def author() -> str:
    """The source of facts that a person writes on this machine."""
    return f"ringrift@{node_name()}"


async def record(log: Log, fact: Fact) -> int:
    """Append a fact whose cause is a person; return its sequence."""
    item = draft(fact, cause=None, source=author(), key=str(time.time_ns()))
    return (await log.append([item]))[0]


async def apply_settings(log: Log, settings: Settings, why: str) -> int:
    """Put `settings` in force unless they are already; return their version. This also replaces
    settings that are known in part or cannot be read.

    Raises ConcurrencyError if the settings are changed at the same time."""
    newest = await log.last(EVENTS, type_of(SettingsChanged).subject_filter)
    last = await latest(log, SettingsChanged)
    whole = last and newest and last.meta.seq == newest.seq and not last.meta.unknown
    if last and whole and last.event.settings == settings:
        return last.event.version
    version = last.event.version + 1 if last else 1
    changed = SettingsChanged(version=version, settings=settings, why=why)
    item = draft(changed, cause=None, source=author(), key=version)
    await log.append([item], Expect(type_of(changed).subject(changed), newest.seq if newest else 0))
    return version


def read_settings(path: Path | None) -> bytes | None:
    """Content of a settings file without a byte order mark, None if none is given. Raises
    OSError."""
    return path.read_bytes().removeprefix(codecs.BOM_UTF8) if path else None


def with_known_architecture(settings: Settings) -> Settings:
    """`settings` with the architecture under its current name; a former name gives a
    DeprecationWarning. Raises CommandError if there is no such architecture."""
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
