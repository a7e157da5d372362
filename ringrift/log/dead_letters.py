"""Dead letters: messages that could not be used, stored in `DEAD` byte for byte."""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from ringrift.events import draft
from ringrift.events.facts import DeadLetterStored
from ringrift.log.entry import Entry
from ringrift.log.errors import ConcurrencyError, PayloadTooLarge
from ringrift.log.protocol import Log
from ringrift.log.topology import DEAD, DEAD_PREFIX, EVENTS

READER = "reader"
"""consumer in the letter of a message that no reader of its stream can use"""
REASON_BYTES_MAX = 1024
"""of the header"""
REASON_CHARS_MAX = 4096
"""of the fact; a reason may quote its message, and must not become as large"""
_EPOCH = datetime.fromtimestamp(0, UTC)


async def store_dead_letter(log: Log, entry: Entry, fact: DeadLetterStored, source: str) -> int:
    """Store a message in `DEAD`, once per message and consumer, and record the fact, completed by
    the sequence in `DEAD`; return that."""
    headers = {
        "Reason": _one_line(fact.reason),
        "Consumer": fact.consumer,
        "Stream": fact.stream,
        "Sequence": str(fact.seq),
        "Deliveries": str(fact.deliveries),
        "Subject": entry.subject,
    }
    subject = f"{DEAD_PREFIX}.{fact.consumer}.{fact.stream}.{fact.seq}"
    is_new = True
    try:
        dead_seq = await _publish(log, subject, entry.body, headers)
    except ConcurrencyError as error:  # the subject is the message's own: it was stored before
        dead_seq, is_new = error.actual, False
    fact = replace(fact, dead_seq=dead_seq, reason=fact.reason[:REASON_CHARS_MAX])
    item = draft(fact, cause=f"{fact.stream}/{fact.seq}", source=source, key=fact.consumer)
    # a crash may have separated the message from its fact, longer ago than the server knows ids
    if is_new or not await log.stored(EVENTS, [item.id], [item.subject], _EPOCH):
        await log.append([item])
    return dead_seq


async def _publish(log: Log, subject: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Publish to `DEAD`; a body too large to fit with our headers is truncated."""
    try:
        return await log.publish(DEAD, subject, body, expect_last=0, headers=headers)
    except PayloadTooLarge as error:
        part = body[: error.limit_bytes]
        return await log.publish(DEAD, subject, part, expect_last=0, headers=headers)


def _one_line(text: str) -> str:
    """The text in the form a header can carry: one line of bounded length in ASCII."""
    return " ".join(text.encode("ascii", "replace").decode().split())[:REASON_BYTES_MAX]
