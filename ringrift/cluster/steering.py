"""Facts that a person writes: settings, pauses, corrections."""

import codecs
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from ringrift.errors import CommandError
from ringrift.events import Fact, Settings, draft, type_of
from ringrift.events.facts import SettingsChanged
from ringrift.events.settings import NNUE_MACHINE, TOWER_MACHINE, TrainingSettings, Unlawful
from ringrift.log.blobs import Blobs
from ringrift.log.protocol import Expect, Log
from ringrift.log.read import latest
from ringrift.log.topology import EVENTS, MODEL_BUCKET
from ringrift.nets.shapes import NNUES
from ringrift.runtime.host import has_gpu_device, node_name


def author() -> str:
    """The source of facts that a person writes on this machine."""
    return f"ringrift@{node_name()}"


async def record(log: Log, fact: Fact, expect: Expect | None = None) -> int:
    """Append a fact whose cause is a person; return its sequence. Raises ConcurrencyError if the
    log is not as expected."""
    item = draft(fact, cause=None, source=author(), key=str(time.time_ns()))
    return (await log.append([item], expect))[0]


async def apply_settings(log: Log, settings: Settings, why: str) -> int:
    """Put `settings` in force unless they are already; return their version. This also replaces
    settings that are known in part or cannot be read.

    Raises CommandError for networks that are not stored or do not fit, ConcurrencyError if the
    settings are changed at the same time."""
    newest = await log.last(EVENTS, type_of(SettingsChanged).subject_filter)
    last = await latest(log, SettingsChanged)
    whole = last and newest and last.meta.seq == newest.seq and not last.meta.unknown
    if last and whole and last.event.settings == settings:
        return last.event.version
    before = last.event.settings if last else Settings()
    await _require_networks(log, settings.training, before.training)
    version = last.event.version + 1 if last else 1
    changed = SettingsChanged(version=version, settings=settings, why=why)
    item = draft(changed, cause=None, source=author(), key=version)
    await log.append([item], Expect(type_of(changed).subject(changed), newest.seq if newest else 0))
    return version


async def _require_networks(log: Log, wanted: TrainingSettings, before: TrainingSettings) -> None:
    blobs = Blobs(log)
    for name in ("init", "distill_from"):
        for entry in sorted({*getattr(wanted, name)} - {*getattr(before, name)}):
            config, _, digest = entry.partition("=")
            if not await blobs.has(MODEL_BUCKET, digest):
                raise CommandError(
                    f"training.{name}: the network of {entry} is not stored; `ringrift model "
                    "list` names those that are"
                )
            trained = trained_architectures(wanted) if name == "init" else ()
            _require_fit(f"training.{name}", config, await blobs.get(MODEL_BUCKET, digest), trained)


def on_this_machine(choose: Callable[[Settings], Settings]) -> Settings:
    """The first settings of a loop with its own server: what `choose` makes of the defaults for the
    architecture that it names, an NNUE where there is no GPU."""
    tower = has_gpu_device()
    named = choose(TOWER_MACHINE if tower else NNUE_MACHINE).training.architecture
    return choose(NNUE_MACHINE if named in NNUES else TOWER_MACHINE)


def trained_architectures(training: TrainingSettings) -> tuple[str, ...]:
    """The architectures that networks may be trained of."""
    followers = (step.partition(">")[2] for step in training.cascade)
    return tuple(dict.fromkeys((*(training.architectures or (training.architecture,)), *followers)))


def _require_fit(setting: str, config: str, data: bytes, architectures: tuple[str, ...]) -> None:
    """Raise CommandError unless a network plays a config and is of one of the architectures, if any
    are given."""
    from ringrift.learning.families import checkpoint_of
    from ringrift.nets.header import CheckpointError
    from ringrift.nets.shapes import UnknownArchitecture, nnue_shape_of
    from ringrift.rules.config import Config

    try:
        header = checkpoint_of(data).header
        if header.architecture in NNUES:  # some do not support all seats
            nnue_shape_of(header.architecture, Config.parse(config))
    except (CheckpointError, UnknownArchitecture) as error:
        raise CommandError(f"{setting}: {error}") from error
    made = f"the network of {config} is {header.architecture} for {header.config_key}"
    if architectures and header.architecture not in architectures:
        trained = ", ".join(architectures)
        raise CommandError(f"{setting}: {made}, but networks of {trained} are trained")


def read_settings(path: Path | None) -> bytes | None:
    """Content of a settings file without a byte order mark, None if none is given. Raises
    OSError."""
    return path.read_bytes().removeprefix(codecs.BOM_UTF8) if path else None


def with_known_architectures(settings: Settings) -> Settings:
    """`settings` with architectures under their current names; a former name gives a
    DeprecationWarning. Raises CommandError for one that does not exist or cannot play a config."""
    from ringrift.nets.shapes import NNUES, UnknownArchitecture, canonical, nnue_shape_of
    from ringrift.rules.config import Config

    training = settings.training

    def known(field: str, given: str, *, everywhere: bool = True) -> str:
        try:
            name = canonical(given)
            for config in settings.configs if everywhere and name in NNUES else ():
                nnue_shape_of(name, Config.parse(config))
        except UnknownArchitecture as error:
            raise CommandError(f"training.{field}: {error}") from error
        return name

    steps = [step.split(">") for step in training.cascade]
    cascade = (
        f"{known('cascade', source, everywhere=False)}>{known('cascade', target)}"
        for source, target in steps
    )
    try:
        training = replace(
            training,
            architecture=known("architecture", training.architecture),
            architectures=tuple(known("architectures", name) for name in training.architectures),
            cascade=tuple(cascade),
        )
    except Unlawful as error:  # two names of one architecture
        raise CommandError(f"setting {error.of('training')}") from error
    return replace(settings, training=training)
