"""`ringrift dlq`: dead letters, the problem with each, and the remedy."""

import base64
import time
from collections.abc import Sequence

import msgspec

from ringrift.cli.common import HERE, TABLE, Session, Tabular, opened, show, show_rows
from ringrift.cluster.steering import record
from ringrift.cluster.terminal import complain
from ringrift.deciders.fleet.dead_letters import DeadLetter
from ringrift.errors import CommandError
from ringrift.events.facts import DeadLetterResolved
from ringrift.insight.describe import one_line
from ringrift.log.protocol import Log
from ringrift.log.read import settings_in_force
from ringrift.runtime import dead_letter_retry as dead_letters

EXIT_UNRESOLVED = 1
BODY_SHOWN_BYTES = 4000


async def list_dead_letters(*, session: Tabular = TABLE) -> None:
    """List the unresolved dead letters, one line each."""
    async with opened(session) as log:
        state = await dead_letters.unresolved(log)
        settings, _ = await settings_in_force(log)
    lines = [_line(letter) for letter in state.unresolved.values()]
    limit = settings.operation.dead_letters_max
    alarm = f"; {limit} or more raise an alarm" if len(lines) >= limit else ""
    lines.append(f"{len(lines)} unresolved, {state.resolved} resolved{alarm}")
    rows = msgspec.to_builtins(list(state.unresolved.values()))
    document = {"unresolved": rows, "resolved": state.resolved}
    show_rows(session, document, rows, "\n".join(lines))


def _line(letter: DeadLetter) -> str:
    state = "1 try" if letter.attempts == 1 else f"{letter.attempts} tries"
    if letter.escalated or letter.answered:
        state = "needs a person"
    place = f"{letter.consumer}  {letter.stream}/{letter.seq}"
    hours = (time.time() - letter.since) / 3600
    return f"{letter.dead_seq:>6}  {place}  {hours:.1f} h  {state}: {one_line(letter.reason)}"


async def show_dead_letter(number: int, /, *, session: Session = HERE) -> None:
    """Print one dead letter with its bytes.

    Args:
        number: The number at the start of the line in `ringrift dlq list`.
    """
    async with opened(session) as log:
        (letter,) = await _chosen(log, [number])
        entry = await dead_letters.original(log, letter)
    fields = msgspec.to_builtins(letter)
    lines = [f"{name:<10} {value}" for name, value in fields.items()]
    if entry is None:
        lines.append(f"{'bytes':<10} expired: newer dead letters took their place")
    else:
        body = entry.body[:BODY_SHOWN_BYTES].decode(errors="backslashreplace")
        lines += [f"{'bytes':<10} {len(entry.body):,}", body]
    encoded = base64.b64encode(entry.body).decode() if entry else None
    show({**fields, "body": encoded}, session.json, "\n".join(lines))


async def retry_dead_letters(*numbers: int, all: bool = False, session: Session = HERE) -> int:
    """Try dead letters again with this build.

    The exit status is 1 if one fails again.

    Args:
        numbers: Numbers at the start of the lines in `ringrift dlq list`.
        all: Try all of them.
    """
    left = 0
    async with opened(session) as log:
        for letter in await _chosen(log, numbers, all=all):
            outcome = await dead_letters.retry(log, letter)
            await record(log, outcome)
            if isinstance(outcome, DeadLetterResolved):
                text = f"{outcome.outcome}: {outcome.why}"
            else:
                left += 1
                text = f"failed again: {outcome.reason}"
            show(outcome, session.json, f"{letter.dead_seq}  {text}")
    return EXIT_UNRESOLVED if left else 0


async def drop_dead_letters(
    *numbers: int, all: bool = False, why: str, session: Session = HERE
) -> None:
    """Resolve dead letters without using them; their bytes are kept.

    Args:
        numbers: Numbers at the start of the lines in `ringrift dlq list`.
        all: Drop all of them.
        why: The reason, which is recorded.
    """
    async with opened(session) as log:
        for letter in await _chosen(log, numbers, all=all):
            outcome = dead_letters.dropped(letter, why)
            await record(log, outcome)
            show(outcome, session.json, f"{letter.dead_seq}  dropped: {why}")


async def _chosen(log: Log, numbers: Sequence[int], *, all: bool = False) -> list[DeadLetter]:
    if not (numbers or all):
        raise CommandError("give numbers from `ringrift dlq list`, or --all")
    state = await dead_letters.unresolved(log)
    found = {letter.dead_seq: letter for letter in state.unresolved.values()}
    if all and not found:
        complain("there is no unresolved dead letter")
    if unknown := [number for number in numbers if number not in found]:
        raise CommandError(
            f"no unresolved dead letter has number {unknown[0]}: see `ringrift dlq list`"
        )
    return [found[number] for number in (found if all else numbers)]
