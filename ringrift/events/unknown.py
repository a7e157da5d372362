"""Fields of newer programs: what an older one leaves out to read the rest.

Writers never write them, and a field that is removed or means something else is a new version of
the fact, so what remains is right as far as it goes."""

from typing import Any

import msgspec.inspect as mi

import ringrift

PROGRAM = f"ringrift {ringrift.__version__}"
"""The program that writes, in every envelope."""
UNKNOWN_MAX = 16
PATH_CHARS_MAX = 80
"""bounds of what is reported about one event, whatever it holds"""


def known(data: Any, shape: mi.Type) -> tuple[Any, tuple[str, ...]]:
    """Plain data without the fields that `shape` does not have, and the paths of the first of
    these."""
    paths: list[str] = []
    return _pruned(data, shape, "", paths), tuple(path[:PATH_CHARS_MAX] for path in paths)


def _pruned(data: Any, shape: mi.Type, path: str, unknown: list[str]) -> Any:
    match shape:
        case mi.UnionType(types=members):
            for member in members:
                data = _pruned(data, member, path, unknown)
        case mi.StructType(fields=fields, tag_field=tag_field, tag=tag) if isinstance(data, dict):
            if tag_field is not None and data.get(tag_field) != tag:
                return data  # of another member of the union
            shapes: dict[str, mi.Type] = {field.encode_name: field.type for field in fields}
            shapes |= {tag_field: mi.AnyType()} if tag_field is not None else {}
            surplus = [f"{path}{name}" for name in data if name not in shapes]
            unknown += surplus[: UNKNOWN_MAX - len(unknown)]
            return {
                name: _pruned(item, shapes[name], f"{path}{name}.", unknown)
                for name, item in data.items()
                if name in shapes
            }
        case mi.CollectionType(item_type=shape) if isinstance(data, list):
            return [_pruned(item, shape, path, unknown) for item in data]
        case mi.DictType(value_type=shape) if isinstance(data, dict):
            return {
                name: _pruned(item, shape, f"{path}{name}.", unknown) for name, item in data.items()
            }
    return data
