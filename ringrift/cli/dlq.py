"""`ringrift dlq list|show|retry|drop`: dead letters, what is wrong with each, and what to do."""

from __future__ import annotations

import argparse
import base64
import time

import msgspec

from ringrift.cli.control import tell
from ringrift.cli.source import opened
from ringrift.deciders.fleet.dead_letters import Letter
from ringrift.errors import CommandError
from ringrift.events.facts import DeadLetterResolved
from ringrift.log.protocol import Log
from ringrift.runtime.dead_letter_retry import dropped, original, retry, unresolved

EXIT_UNRESOLVED = 1
BODY_SHOWN_BYTES = 4000


async def list_letters(options: argparse.Namespace) -> int:
    """Every unresolved letter, one line each."""
    async with opened(options) as log:
        state = await unresolved(log)
    if options.json:
        print(
            msgspec.json.encode(
                {"unresolved": list(state.letters.values()), "resolved": state.resolved}
            ).decode()
        )
        return 0
    for letter in state.letters.values():
        tries = "1 try" if letter.attempts == 1 else f"{letter.attempts} tries"
        what = "for a person" if letter.escalated or letter.answered else tries
        age = (time.time() - letter.since) / 3600
        print(
            f"{letter.dead_seq:>6}  {letter.consumer}  {letter.stream}/{letter.seq}  {age:.1f} h  {what}: {letter.reason}"
        )
    limit = state.settings.dead_letters_max
    alarm = f"; {limit} or more are an alarm" if len(state.letters) >= limit else ""
    print(f"{len(state.letters)} unresolved, {state.resolved} resolved{alarm}")
    return 0


async def show_letter(options: argparse.Namespace) -> int:
    """One letter whole, with its bytes."""
    async with opened(options) as log:
        letter = await _letter(log, options.number)
        entry = await original(log, letter)
    body = b"" if entry is None else entry.body
    if options.json:
        found = msgspec.to_builtins(letter) | {
            "body": None if entry is None else base64.b64encode(body).decode()
        }
        print(msgspec.json.encode(found).decode())
        return 0
    for name, value in msgspec.to_builtins(letter).items():
        print(f"{name:<10} {value}")
    print(
        f"{'bytes':<10} {len(body):,}"
        if entry
        else f"{'bytes':<10} gone: newer letters pushed them out"
    )
    print(body[:BODY_SHOWN_BYTES].decode(errors="backslashreplace"))
    return 0


async def retry_letters(options: argparse.Namespace) -> int:
    """Try letters again with this build; 1 if one still cannot be used."""
    async with opened(options) as log:
        left = 0
        for letter in await _chosen(log, options):
            outcome = await retry(log, letter)
            await tell(log, outcome)
            if isinstance(outcome, DeadLetterResolved):
                text = f"{outcome.outcome}: {outcome.why}"
            else:
                left, text = left + 1, f"still of no use: {outcome.reason}"
            print(
                msgspec.json.encode(outcome).decode()
                if options.json
                else f"{letter.dead_seq}  {text}"
            )
    return EXIT_UNRESOLVED if left else 0


async def drop_letters(options: argparse.Namespace) -> int:
    """Give letters up; their bytes stay in `DEAD`."""
    async with opened(options) as log:
        for letter in await _chosen(log, options):
            outcome = dropped(letter, options.why)
            await tell(log, outcome)
            print(
                msgspec.json.encode(outcome).decode()
                if options.json
                else f"{letter.dead_seq}  dropped: {options.why}"
            )
    return 0


async def _chosen(log: Log, options: argparse.Namespace) -> list[Letter]:
    """The letters that were named. Raises CommandError."""
    if options.all:
        found = list((await unresolved(log)).letters.values())
        if not found and not options.json:
            print("no letter is unresolved")
        return found
    if not options.numbers:
        raise CommandError("name letters by the number in front of `ringrift dlq list`, or --all")
    return [await _letter(log, number) for number in options.numbers]


async def _letter(log: Log, number: int) -> Letter:
    for letter in (await unresolved(log)).letters.values():
        if letter.dead_seq == number:
            return letter
    raise CommandError(f"no unresolved letter has the number {number}: see `ringrift dlq list`")
