"""The minimal connection: addresses, versions, and the parser."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, strategies as st

from ringrift.log.entry import Entry
from ringrift.log.errors import ServerTooOld, Unreachable
from ringrift.log.reader import entries_of
from ringrift.log.wire import Wire, WireClosed, check_version, shown_address, split_servers


@pytest.mark.parametrize("version", ["2.14.0", "v2.15.1", "2.14.0-beta.1", "3.0.0"])
def test_new_enough_servers(version: str) -> None:
    check_version(version, "here")


@pytest.mark.parametrize("version", ["2.9.10", "1.99", "", "unknown"])
def test_too_old_servers_are_named(version: str) -> None:
    with pytest.raises(ServerTooOld, match="here is nats-server"):
        check_version(version, "here")


def test_split_servers() -> None:
    assert split_servers("localhost, nats://b:1") == ["nats://localhost", "nats://b:1"]
    assert split_servers("[::1]:14222,tls://[fe80::1]") == ["nats://[::1]:14222", "tls://[fe80::1]"]
    strange = ["ws://host:80", "http://host", "nats://[::1", "nats:host"]
    for bad in ("", "nats://", "nats://host:port", "nats://host:99999", *strange):
        with pytest.raises(Unreachable, match="write nats://HOST:PORT"):
            split_servers(bad)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("nats://user:secret@[::1]:14222", "nats://[::1]:14222"),
        ("tls://token@host", "tls://host"),
        ("nats://host:1", "nats://host:1"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert shown_address(address) == shown


@pytest.mark.parametrize("server", ["tls://u:secret@127.0.0.1", "tls://u:secret@localhost"])
async def test_nothing_is_sent_to_a_server_without_tls_if_tls_is_wanted(server: str) -> None:
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"version":"2.15.1","server_id":"X","headers":true}\r\n')
        received.set_result(await reader.read())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable, match="offers no TLS"):
            await Wire.open([f"{server}:{port}"])
        assert await received == b""


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
async def test_the_parser_accepts_any_cuts_between_reads(
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


async def test_a_closed_wire_delivers_the_messages_received_and_then_fails() -> None:
    wire = Wire()
    wire.data_received(message(1, "a", b"x"))
    wire.connection_lost(None)
    assert len((await wire.receive(1)).messages) == 1
    with pytest.raises(WireClosed, match="closed the connection"):
        await wire.receive(1)
