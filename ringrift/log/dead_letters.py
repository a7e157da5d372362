"""Dead letters: the bytes of a message nobody could use, with what is known about it, and the fact
that says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from ringrift.events import draft
from ringrift.events.facts import DeadLetterStored
from ringrift.log.errors import ConcurrencyError, PayloadTooLarge
from ringrift.log.protocol import Log
from ringrift.log.topology import DEAD, DEAD_PREFIX, EVENTS

_BEGINNING = datetime.fromtimestamp(0, UTC)
REASON_BYTES_MAX = 1024
"""of the header"""
REASON_CHARS_MAX = 4096
"""of the fact: what is wrong with a message may quote it, and must not become as large as the
message"""


class DeadLetter(Struct, frozen=True):
    """`body` is message `seq` of `stream`, which `consumer` gave up after so many deliveries;
    `source` writes the fact."""

    body: bytes
    subject: str
    stream: str
    seq: int
    consumer: str
    deliveries: int
    reason: str
    source: str
    answered: bool = False


async def bury(log: Log, letter: DeadLetter) -> int:
    """Keeps the letter in `DEAD`, once per message and consumer, and records the fact; its sequence
    in `DEAD`."""
    headers = {
        "Reason": _one_line(letter.reason),
        "Consumer": letter.consumer,
        "Stream": letter.stream,
        "Sequence": str(letter.seq),
        "Deliveries": str(letter.deliveries),
        "Subject": letter.subject,
    }
    target = f"{DEAD_PREFIX}.{letter.consumer}.{letter.stream}.{letter.seq}"
    try:
        dead_seq = await _kept(log, target, letter.body, headers)
    except (
        ConcurrencyError
    ) as error:  # the subject is the message's own: it was dead-lettered before
        dead_seq, before = error.actual, True
    else:
        before = False
    fact = DeadLetterStored(
        consumer=letter.consumer,
        stream=letter.stream,
        seq=letter.seq,
        dead_seq=dead_seq,
        reason=letter.reason[:REASON_CHARS_MAX],
        deliveries=letter.deliveries,
        failure_recorded=letter.answered,
    )
    item = draft(
        fact, cause=f"{letter.stream}/{letter.seq}", source=letter.source, key=letter.consumer
    )
    if not before or not await log.stored(EVENTS, [item.id], [item.subject], _BEGINNING):
        await log.append(
            [item]
        )  # also after a crash between letter and fact, however long ago the server forgot the id
    return dead_seq


async def _kept(log: Log, target: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The letter's sequence in `DEAD`. One so large that it has no room beside our headers loses
    its end."""
    try:
        return await log.publish(DEAD, target, body, expect_last=0, headers=headers)
    except PayloadTooLarge as error:
        return await log.publish(
            DEAD, target, body[: error.limit_bytes], expect_last=0, headers=headers
        )


def _one_line(text: str) -> str:
    """The text as a header can carry it: one line of bounded length in ASCII."""
    return " ".join(text.encode("ascii", "replace").decode().split())[:REASON_BYTES_MAX]
