"""What every setting means: its values, its default and its reason, as its declaration says."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect as mi
from msgspec import Struct

from ringrift.errors import CommandError
from ringrift.events import Settings
from ringrift.events.patterns import words_for
from ringrift.events.settings.kinds import HUGE

_REQUIREMENTS = re.compile(r" \(requirements? [^()]*\)")


class Explanation(Struct, frozen=True, kw_only=True):
    """One setting: what it means and why it is as it is, which values it may have in words, its
    default, and the value in force."""

    name: str
    meaning: str
    values: str
    default: Any
    in_force: Any


def explained(in_force: Settings, prefix: str = "") -> list[Explanation]:
    """Every setting, or the one called `prefix`, or those of the group `prefix`, in the order of
    declaration. Raises CommandError if there is none."""
    found = [
        item
        for item in _explained(Settings, "", "", Settings(), in_force)
        if not prefix or f"{item.name}.".startswith(f"{prefix}.")
    ]
    if not found:
        groups = ", ".join(Settings.__struct_fields__)
        raise CommandError(f"no setting is called {prefix!r}: the groups are {groups}")
    return found


def _explained(
    group: type[Struct], prefix: str, context: str, default: Struct, in_force: Struct
) -> Iterator[Explanation]:
    """The settings of a group; `context` explains those without an explanation of their own."""
    shapes = mi.type_info(group)
    assert isinstance(shapes, mi.StructType)
    texts = declared(group)
    for field in shapes.fields:
        name, text = field.name, texts.get(field.name, context)
        before, now = getattr(default, name), getattr(in_force, name)
        if isinstance(field.type, mi.StructType):
            inner = text or inspect.getdoc(field.type.cls) or ""
            yield from _explained(field.type.cls, f"{prefix}{name}.", inner, before, now)
            continue
        yield Explanation(
            name=prefix + name,
            meaning=_REQUIREMENTS.sub("", " ".join(text.split())),
            values=_values(field.type),
            default=before,
            in_force=now,
        )


@functools.cache
def declared(group: type[Struct]) -> dict[str, str]:
    """The docstrings of the fields of a group of settings, by name."""
    source = ast.parse(inspect.getsource(sys.modules[group.__module__]))
    (found,) = [
        item
        for item in source.body
        if isinstance(item, ast.ClassDef) and item.name == group.__name__
    ]
    texts = {}
    for field, after in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr):
            assert isinstance(field.target, ast.Name)
            assert isinstance(after.value, ast.Constant)
            texts[field.target.id] = str(after.value.value)
    return texts


def _values(shape: mi.Type) -> str:
    """The values that a setting may have, in words."""
    match shape:
        case mi.BoolType():
            return "true or false"
        case mi.LiteralType():
            return " or ".join(map(str, shape.values))
        case mi.StrType():
            return words_for(shape.pattern or "")
        case mi.VarTupleType():
            return f"none, or several separated by commas: {_values(shape.item_type)}"
        case mi.IntType() | mi.FloatType():
            return _range(shape)
    raise AssertionError(f"no words for {shape}")


def _range(shape: mi.IntType | mi.FloatType) -> str:
    kind = "a whole number" if isinstance(shape, mi.IntType) else "a number"
    least, most = shape.ge, shape.lt if shape.le is None else shape.le
    assert least is not None
    assert most is not None
    above = least == 1 / HUGE
    if most == HUGE:
        return {-HUGE: kind, 1 / HUGE: f"{kind} above 0"}.get(least, f"{kind}, at least {least:g}")
    start = "above 0" if above else f"from {least:,.12g}"
    end = "less than" if shape.le is None else "at most" if above else "to"
    return f"{kind} {start}{', ' if end != 'to' else ' '}{end} {most:,.16g}"


def in_text(value: Any) -> str:
    """The value of a setting as it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return msgspec.json.encode(value).decode() if not isinstance(value, str) else value
