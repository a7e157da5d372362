"""Segments give messages back byte for byte, and people can read them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError, Lock
from typing import Any

import duckdb
import pytest
from hypothesis import given, strategies as st

from ringrift.log.entry import Entry, header_block
from ringrift.log.errors import BlobCorrupt
from ringrift.log.segments import GROUP_MESSAGES_MAX, Segment, encode

words = st.text("abcxyz_-09", min_size=1, max_size=8)
subjects = st.lists(words, min_size=1, max_size=5).map(".".join)
heads = st.dictionaries(words, st.text("abc :=", max_size=9), max_size=3).map(header_block)
envelopes = st.fixed_dictionaries(
    {}, optional={"type": words, "id": st.integers(), "data": st.dictionaries(words, words)}
).map(lambda value: str(value).replace("'", '"').encode())
messages = st.tuples(
    subjects,
    st.integers(-(2**62), 2**62),
    st.binary(max_size=200) | envelopes,
    heads | st.binary(max_size=20),
)


def entries_of(items: list[tuple[str, int, bytes, bytes]], gaps: list[int]) -> list[Entry]:
    seq, found = 0, []
    for item, gap in zip(items, gaps, strict=False):
        seq += gap
        found.append(Entry(seq, *item))
    return found


def read(data: bytes, *filters: str, first: int = 1, last: int | None = None) -> list[Entry]:
    return [entry for group in Segment(data).groups(filters, first, last) for entry in group]


@given(
    st.lists(messages, min_size=1, max_size=30),
    st.lists(st.integers(1, 9), min_size=30, max_size=30),
)
def test_any_messages_come_back_byte_for_byte(
    items: list[tuple[str, int, bytes, bytes]], gaps: list[int]
) -> None:
    entries = entries_of(items, gaps)
    assert read(encode(entries)) == entries


def test_a_part_under_a_filter_is_read_across_row_groups() -> None:
    count = GROUP_MESSAGES_MAX + 10
    entries = [Entry(seq, f"a.{seq % 3}", seq, b"{}") for seq in range(1, count + 1)]
    data = encode(entries)
    wanted = [entry for entry in entries if entry.subject == "a.1" and 7 <= entry.seq < count]
    assert read(data, "a.1", first=7, last=count - 1) == wanted
    assert encode(entries) == data


def test_people_query_the_columns(tmp_path) -> None:
    body = (
        b'{"type":"ringrift.GameCompleted.v1","id":"g","cause":"EVENTS/3",'
        b'"data":{"game":"t-1","origin":"selfplay","plies":44,"winner":2}}'
    )
    file = tmp_path / "segment.parquet"
    file.write_bytes(encode([Entry(1, "ringrift.game.hex8_2p.completed", 10**18, body)]))
    sql = f"SELECT type, scope, id, cause, game, origin, plies, winner, decode(body) FROM '{file}'"
    (row,) = duckdb.execute(sql).fetchall()
    head = ("ringrift.GameCompleted.v1", "hex8_2p", "g", "EVENTS/3", "t-1", "selfplay", 44, 2)
    assert row == (*head, body.decode())


@pytest.mark.parametrize("data", [b"", b"PAR1 no", encode([Entry(1, "a", 1, b"")])[:-9]])
def test_what_is_no_segment_is_refused(data: bytes) -> None:
    with pytest.raises(BlobCorrupt):
        Segment(data)


def test_one_thread_at_a_time_reads_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(encode([Entry(seq, "a.b", 0, b"{}") for seq in range(1, 9)]))
    read_group, alone = Segment._group, Lock()

    def group(*args: Any) -> list[Entry]:
        assert alone.acquire(blocking=False), "two threads use Arrow's reader of one file"
        try:
            both.wait(0.05)  # for the other thread, which comes if nothing holds it back
        except BrokenBarrierError:
            return read_group(*args)
        finally:
            alone.release()
        raise AssertionError("both threads read")

    both = Barrier(2)
    monkeypatch.setattr(Segment, "_group", group)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: sum(map(len, segment.groups())), range(2)))
    assert found == [8, 8]
