"""The parts that need no server: subjects, header blocks, times, versions, drift, the bulk
parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringrift.log.entry import Entry, header_block, matches, stamp_of
from ringrift.log.errors import ServerTooOld, Unreachable
from ringrift.log.reader import entries_of
from ringrift.log.wire import Wire, WireClosed, check_version, split_servers
from ringrift.server.ensure import Drift, differences


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


@pytest.mark.parametrize("version", ["2.14.0", "v2.15.1", "2.14.0-beta.1", "3.0.0"])
def test_new_enough_servers(version: str) -> None:
    check_version(version, "here")


@pytest.mark.parametrize("version", ["2.9.10", "1.99", "", "unknown"])
def test_too_old_servers_are_named(version: str) -> None:
    with pytest.raises(ServerTooOld, match="here is nats-server"):
        check_version(version, "here")


def test_split_servers() -> None:
    assert split_servers("localhost, nats://b:1") == ["nats://localhost", "nats://b:1"]
    for bad in ("", "nats://", "nats://host:port", "nats://host:99999"):
        with pytest.raises(Unreachable, match="write nats://HOST:PORT"):
            split_servers(bad)


def test_differences_ignore_what_the_server_adds_or_leaves_out() -> None:
    declared = {
        "name": "S",
        "max_age": 0,
        "max_msgs": 5,
        "filter_subjects": ["a"],
        "deny_delete": True,
    }
    actual = {
        "name": "S",
        "max_msgs": 5,
        "filter_subject": "a",
        "deny_delete": True,
        "metadata": {},
    }
    assert differences("S", declared, actual) == []
    found = differences(
        "S", declared, {"name": "S", "max_msgs": 6, "filter_subjects": ["a"], "max_age": 1}
    )
    assert found == [
        Drift("S", "max_age", 0, 1),
        Drift("S", "max_msgs", 5, 6),
        Drift("S", "deny_delete", True, False),
    ]
    assert str(found[1]) == "S: max_msgs is 6, declared 5"


def message(seq: int, subject: str, body: bytes, head: bytes = b"", token: str = "") -> bytes:
    ack = f"$JS.ACK.{'hub.ABC.' if token else ''}S.c.1.{seq}.{seq}.1700000000000000000.0{token}"
    kind, sizes = (
        ("HMSG", f"{len(head)} {len(head) + len(body)}") if head else ("MSG", f"{len(body)}")
    )
    return f"{kind} {subject} 1 {ack} {sizes}\r\n".encode() + head + body + b"\r\n"


@given(
    st.lists(
        st.tuples(st.sampled_from(["a.b", "c", "$KV.x.y"]), st.binary(max_size=40), st.booleans()),
        max_size=8,
    ),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.sampled_from(["", ".token"]),
)
async def test_the_parser_takes_messages_however_they_are_cut(
    messages: list[tuple[str, bytes, bool]], cuts: list[int], token: str
) -> None:
    wire = Wire()
    head = b"NATS/1.0\r\nNats-Msg-Id: i\r\n\r\n"
    stream = b"".join(
        message(seq, subject, body, head if headed else b"", token)
        for seq, (subject, body, headed) in enumerate(messages, 1)
    )
    status = b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"
    stream += f"HMSG _INBOX.x.d.1 1 {len(status)} {len(status)}\r\n".encode() + status + b"\r\n"
    position, turn = 0, 0
    while position < len(stream):
        step = cuts[turn % len(cuts)]
        wire.data_received(stream[position : position + step])
        position, turn = position + step, turn + 1
    received = await wire.receive(1)
    expected = [
        Entry(seq, subject, 1_700_000_000_000_000_000, body, head if headed else b"")
        for seq, (subject, body, headed) in enumerate(messages, 1)
    ]
    assert entries_of(received.messages) == expected
    assert received.delivered == len(messages)
    assert received.statuses == [status]


async def test_a_closed_wire_hands_over_what_came_and_then_says_so() -> None:
    wire = Wire()
    wire.data_received(message(1, "a", b"x"))
    wire.connection_lost(None)
    assert len((await wire.receive(1)).messages) == 1
    with pytest.raises(WireClosed, match="closed the connection"):
        await wire.receive(1)
