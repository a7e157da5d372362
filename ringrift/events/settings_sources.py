"""Settings from the command line, the environment and files.

The command line (`--set training.batch=256`) takes precedence over the environment
(`RINGRIFT_TRAINING_BATCH`), that over a JSON file, and that over the defaults. An unknown name or
an invalid value is an error, never replaced by the default."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any

import msgspec

from ringrift.events.errors import Contradiction, SettingsError
from ringrift.events.patterns import in_words
from ringrift.events.settings import Settings, Unlawful

ENV_PREFIX = "RINGRIFT_"
_OF_PROCESS = """
SERVER DATA NODE LOG LOG_LEVEL THREADS HEALTH_PORT HEALTH_HOST CREDENTIALS CA EDGE PROVIDER PRICE
UPDATED ALERTS_TOKEN WEB_TOKEN RENT_HOOK NOTICE KEY ARCHIVE CACHE CACHE_BYTES BLOBS
"""
ENV_OF_PROCESS = frozenset(_OF_PROCESS.split())
"""names of variables that configure one process and are not settings"""
OLD_NAMES = msgspec.toml.decode(
    files("ringrift.events").joinpath("old_names.toml").read_bytes(), type=dict[str, str]
)
"""what the variables of the system before this one have become; a name may end in `*`"""


SERVICE_LINK = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""variables that Kubernetes sets for a service whose name begins with ringrift"""


def names() -> list[str]:
    """Dotted names of all settings, in the order of declaration."""
    return [name for name, _ in _leaves(msgspec.to_builtins(Settings()))]


def from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Settings given by `RINGRIFT_...` variables; those of the old system give none. Raises
    SettingsError for an unknown one."""
    known = {name.upper().replace(".", "_"): name for name in names()}
    found: dict[str, str] = {}
    for variable, value in environ.items():
        key = variable.removeprefix(ENV_PREFIX)
        other = key in ENV_OF_PROCESS or SERVICE_LINK.fullmatch(key)
        if key == variable or other or (key not in known and _now(key)):
            continue
        if key not in known:
            raise SettingsError(
                f"environment variable {variable} is not a setting{_near(key, known)}"
            )
        found[known[key]] = value
    return found


def old_variables(environ: Mapping[str, str]) -> list[str]:
    """A line for each variable of the old system that is set: what it is here."""
    own = {*ENV_OF_PROCESS, *(name.upper().replace(".", "_") for name in names())}
    ours = (name for name in sorted(environ) if name.startswith(ENV_PREFIX))
    keys = (name.removeprefix(ENV_PREFIX) for name in ours)
    pairs = ((key, _now(key)) for key in keys if key not in own)
    return [
        f"environment variable {ENV_PREFIX}{key} is ignored; it is {here} now"
        for key, here in pairs
        if here
    ]


def _now(key: str) -> str | None:
    """What a variable of the old system has become; None for another one."""
    return next((here for old, here in OLD_NAMES.items() if fnmatchcase(key, old)), None)


def from_arguments(arguments: Iterable[str]) -> dict[str, str]:
    """Settings given as `name=value`. Raises SettingsError for an argument without `=`."""
    found: dict[str, str] = {}
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if not sign:
            raise SettingsError(f"setting {argument!r} has no value: write {argument}=VALUE")
        found[name] = value
    return found


def load(
    *sources: Mapping[str, str], file: bytes | None = None, base: Settings | None = None
) -> Settings:
    """Settings from `base` (the defaults), a JSON `file` and `sources`; later ones take precedence.

    Raises SettingsError that names the setting, its value and what was expected."""
    tree: dict[str, Any] = msgspec.to_builtins(base or Settings())
    if file is not None:
        try:
            given = msgspec.json.decode(file, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise SettingsError(f"settings file: {error}") from error
        for name, value in _leaves(given):
            _put(tree, name, value)
    for source in sources:
        for name, text in source.items():
            _put(tree, name, _parse(text))
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        place = place.rstrip("`")
        if isinstance(error.__cause__, Unlawful):
            raise Contradiction(f"setting {error.__cause__.of(place)}") from error
        name = f"setting {place}" if place else "settings"
        raise SettingsError(f"{name}: {in_words(problem)}; got {_at(tree, place)!r}") from error
    if not settings.configs:
        raise SettingsError("setting configs is empty: name at least one config, such as hex8_2p")
    return settings


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    known = names()
    if name not in known:
        raise SettingsError(f"unknown setting {name!r}{_near(name, known)}")
    *path, last = name.split(".")
    for part in path:
        tree = tree[part]
    if isinstance(tree[last], (list, tuple)) and not isinstance(value, list):
        value = [_parse(part) for part in str(value).split(",") if part]
    tree[last] = value


def _at(tree: Any, place: str) -> Any:
    """The value at a place such as `training.init[...]`."""
    for part in filter(None, place.partition("[")[0].split(".")):
        tree = tree[part]
    return tree


def _parse(text: str) -> Any:
    """A number or boolean as in JSON, anything else as text."""
    try:
        return msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return text


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
