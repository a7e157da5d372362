"""What the words of the old system are called here: `words.toml`, for messages and a page."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import msgspec

from ringrift.events.settings_sources import ENV_PREFIX, OLD_NAMES

_WORDS: Final = msgspec.toml.decode(
    files("ringrift.legacy").joinpath("words.toml").read_bytes(), type=dict[str, dict[str, str]]
)
REFUSED: Final = _WORDS["refused"]
"""why a file is not imported, and what to import instead"""
_HEAD: Final = """# Coming from the old system

`ringrift import PATH...` takes the games of the old system, and the results of its matches.
[Its guide](../guides/import.md) says what is accepted. This page says what the old words are called
here. Commands and files answer in the same words.
"""


def tables() -> dict[str, dict[str, str]]:
    """The new words of the old commands, modules, files, events and environment variables."""
    found = {name: words for name, words in _WORDS.items() if name != "refused"}
    return found | {"variables": {ENV_PREFIX + old: here for old, here in OLD_NAMES.items()}}


def page() -> str:
    """The page, as Markdown."""
    lines = [_HEAD]
    for name, words in tables().items():
        lines += [
            f"## {name.capitalize()}\n",
            f"| Old {name.removesuffix('s')} | here |",
            "|---|---|",
        ]
        lines += [f"| `{one}` | {here} |" for one, here in words.items()]
        lines.append("")
    return "\n".join(lines)
