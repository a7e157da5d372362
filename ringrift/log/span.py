"""What to read of a stream, and the form of what is read."""

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import TypedDict, TypeVar

from ringrift.log.entry import Entry

T = TypeVar("T")
Entries = AsyncGenerator[Entry, None]
Batches = AsyncGenerator[list[T], None]
Progress = Callable[[int, int], None]
"""Called with (sequence reached, sequence at which the read ends)."""


class Span(TypedDict, total=False):
    """What to read of a stream: the messages that match one of `filters`, from `start_seq` or
    `start_time` through `until_seq`; by default all. `progress` is called now and then."""

    filters: Sequence[str]
    start_seq: int
    start_time: datetime | None
    until_seq: int | None
    progress: Progress | None
