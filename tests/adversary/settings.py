"""Settings that are accepted: any values of the fields that no door refuses."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import msgspec.inspect as mi

from ringrift.events import Settings, SettingsError
from ringrift.events.settings_sources import load

from .values import CONFIGS, Values

FIELDS_CHANGED_MAX = 6
TRIES_MAX = 50
USUAL = Settings(configs=CONFIGS)


def accepted(values: Values) -> Settings:
    """Settings in which some fields have invented values, as `ringrift settings --set` accepts
    them."""
    leaves = _LEAVES
    for _ in range(TRIES_MAX):
        chosen = values.random.sample(sorted(leaves), values.random.randint(1, FIELDS_CHANGED_MAX))
        given = {name: _text(values, name, leaves[name]) for name in chosen}
        try:
            return load(given, base=USUAL)
        except SettingsError:
            continue
    return USUAL


def _text(values: Values, name: str, kind: mi.Type) -> str:
    """A value as it is written on the command line."""
    found = values.invented(kind, name.rpartition(".")[2], odd=0.6)
    if isinstance(found, list):
        return ",".join(map(str, found))
    return found if isinstance(found, str) else msgspec.json.encode(_plain(found)).decode()


def _plain(value: Any) -> Any:
    """A number that msgspec can write."""
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def _leaves_of(kind: type[msgspec.Struct], prefix: str = "") -> dict[str, mi.Type]:
    found: dict[str, mi.Type] = {}
    info = mi.type_info(kind)
    assert isinstance(info, mi.StructType)
    for field in info.fields:
        if isinstance(field.type, mi.StructType):
            found |= _leaves_of(field.type.cls, f"{prefix}{field.name}.")
        else:
            found[prefix + field.name] = field.type
    return found


_LEAVES = _leaves_of(Settings)


def some(seed: int) -> Settings:
    """Accepted settings by a seed."""
    return accepted(Values(Random(seed)))
