"""`ringrift verify`: is everything what the log says it is?"""

from __future__ import annotations

import argparse

import msgspec

from ringrift.cli.source import console, opened, progress
from ringrift.insight.verify import Kind
from ringrift.insight.verify import verify as compare

EXIT_UNSOUND = 1
WORDS: dict[Kind, str] = {
    "fold": "live folds",
    "snapshot": "snapshots",
    "decision": "decisions",
    "blob": "blobs",
}


async def verify(options: argparse.Namespace) -> int:
    """Print what was compared and what is wrong; 1 if something is other than the log says."""
    async with opened(options) as log:
        with progress("verifying") as report:
            found = await compare(log, report)
    if options.json:
        print(msgspec.json.encode({"sound": found.sound, **msgspec.to_builtins(found)}).decode())
        return 0 if found.sound else EXIT_UNSOUND
    out = console()
    for item in found.problems:
        out.print(
            f"{item.level:<4} {item.kind:<9} {item.name}  {item.text}", soft_wrap=True, markup=False
        )
    compared = ", ".join(
        f"{found.checked[kind]:,} {words}" for kind, words in WORDS.items() if kind in found.checked
    )
    failed = sum(item.level == "fail" for item in found.problems)
    out.print(
        f"EVENTS/1..{found.seq}: {compared}; {'all as the log says' if found.sound else f'{failed} not as the log says'}"
    )
    return 0 if found.sound else EXIT_UNSOUND
