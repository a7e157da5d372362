"""Stored messages: subjects, header blocks, times."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ringrift.log.entry import Entry, header_block, matches, stamp_of


@pytest.mark.parametrize(
    ("subject_filter", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("*.b", "a.b", True),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.>", "b.c", False),
        (">", "a", True),
        (">", "a.b", True),
        ("a.*.c.>", "a.b.c.d", True),
        ("a.*.c.>", "a.b.c", False),
    ],
)
def test_matches(subject_filter: str, subject: str, expected: bool) -> None:
    assert matches(subject_filter, subject) is expected


tokens = st.lists(st.sampled_from("abc"), min_size=1, max_size=5)


@given(tokens, st.data())
def test_a_subject_matches_itself_with_any_token_replaced(
    subject: list[str], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(subject) - 1))
    assert matches(".".join([*subject[:place], "*", *subject[place + 1 :]]), ".".join(subject))
    assert matches(".".join([*subject[:place], ">"]), ".".join(subject))


def test_headers_are_read_back() -> None:
    headers = {"Nats-Msg-Id": "a:b/1", "Reason": "x"}
    entry = Entry(1, "s", 1_500_000_000, b"", header_block(headers))
    assert entry.headers == headers
    assert entry.id == "a:b/1"
    assert entry.time.timestamp() == 1.5
    assert Entry(1, "s", 0, b"").headers == {}
    assert Entry(1, "s", 0, b"").id is None


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("", 0), (".5", 500_000_000), (".000000001", 1), (".123456789", 123_456_789)],
)
def test_stamp_of(text: str, nanoseconds: int) -> None:
    assert stamp_of(f"1970-01-02T00:00:00{text}Z") == 86_400_000_000_000 + nanoseconds
