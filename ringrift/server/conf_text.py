"""Reads the configuration language of nats-server, as far as voters use it.

Maps, arrays, strings, numbers, booleans, comments, includes and `$variables`. A value that is not
understood is kept as its text: what a voter is depends on few of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ringrift.log.errors import ServerError

INCLUDES_MAX = 20
_SKIP = r"(?:[\s,;]|#[^\n]*|//[^\n]*)*"
_STRING = r'"(?P<double>(?:\\.|[^"\\])*)"|\'(?P<single>[^\']*)\''
_KEY = re.compile(rf"{_SKIP}(?:(?P<end>\}}|\Z)|(?:{_STRING}|(?P<bare>[^\s=:{{]+))[ \t]*[=:]?)")
_BRACE = re.compile(rf"{_SKIP}\{{")
_VALUE = re.compile(rf"{_SKIP}(?:(?P<mark>[{{\[\]])|{_STRING}|(?P<bare>[^\s,;\]}}]+))")


def read_conf(path: Path) -> dict[str, Any]:
    """The settings of a configuration file, keys in lower case. Raises ServerError."""
    try:
        return _Reader(path, INCLUDES_MAX).settings()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServerError(f"{path} cannot be read: {reason}") from error


class _Reader:
    def __init__(self, path: Path, includes: int) -> None:
        self._path, self._includes = path, includes
        self._text = path.read_text("utf-8-sig", errors="surrogateescape")
        brace = _BRACE.match(self._text)  # around all of a file that is JSON
        self._at = brace.end() if brace else 0

    def settings(self) -> dict[str, Any]:
        """The whole file, variables replaced by what they stand for."""
        found = self._map()
        return {name: _resolved(value, found) for name, value in found.items()}

    def _map(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (key := self._match(_KEY))["end"] is None:
            name = _text(key)
            if name == "include":
                found |= self._included(str(self._value()))
            else:
                found[name.lower()] = self._value()
        return found

    def _included(self, name: str) -> dict[str, Any]:
        if not self._includes:
            raise ServerError(f"{self._path} includes more than {INCLUDES_MAX} files in each other")
        return _Reader(self._path.parent / name, self._includes - 1)._map()

    def _value(self) -> Any:
        found = self._match(_VALUE)
        match found["mark"]:
            case "{":
                return self._map()
            case "[":
                return list(self._items())
            case "]":
                raise self._error()
        return _text(found)

    def _items(self) -> Iterator[Any]:
        while True:
            before = self._at
            if self._match(_VALUE)["mark"] == "]":
                return
            self._at = before
            yield self._value()

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self._error()
        self._at = found.end()
        return found

    def _error(self) -> ServerError:
        line = self._text.count("\n", 0, self._at) + 1
        return ServerError(f"{self._path} cannot be read: line {line} is not a setting")


def _text(found: re.Match[str]) -> str:
    if found["double"] is not None:
        return re.sub(r"\\(.)", r"\1", found["double"])
    return str(found["bare"] if found["single"] is None else found["single"])


def _resolved(value: Any, top: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _resolved(item, top) for name, item in value.items()}
    if isinstance(value, str) and value.startswith("$") and value[1:].lower() in top:
        return top[value[1:].lower()]
    return value
