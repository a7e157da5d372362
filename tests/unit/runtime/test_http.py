"""The HTTP server, used through raw sockets, with well-formed requests and others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, strategies as st
from support.http_client import get, request

from ringrift.runtime import http

pytestmark = pytest.mark.real_time


async def respond(path: str) -> http.Answer:
    """Answers one path, and never another one."""
    if path == "/slow":
        await asyncio.Event().wait()
    return http.Answer(200 if path == "/here" else 404, http.TEXT, path.encode() + b"\n")


@contextlib.asynccontextmanager
async def server(limits: http.Limits = http.LIMITS) -> AsyncIterator[str]:
    listening = await http.serve("127.0.0.1", 0, respond, limits)
    try:
        yield "{}:{}".format(*listening.sockets[0].getsockname())
    finally:
        listening.close()


async def test_a_get_has_a_body_and_no_query() -> None:
    async with server() as address:
        assert await get(address, "/here?verbose=1") == (200, b"/here\n")


async def test_a_head_has_no_body() -> None:
    async with server() as address:
        assert await request(address, b"HEAD /here HTTP/1.1\r\n\r\n") == (200, b"")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET /here\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /here HTTP/9.9\r\n\r\n", 400),
        (b"GET \xff HTTP/1.1\r\n\r\n", 400),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET //here HTTP/1.1\r\n\r\n", 404),
        (b"GET /" + b"a" * http.PATH_CHARACTERS_MAX + b" HTTP/1.1\r\n\r\n", 400),
        (b"POST /here HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"GET /here HTTP/1.1\r\nA: " + b"x" * http.LIMITS.head_bytes + b"\r\n\r\n", 431),
        (b"x" * (http.LIMITS.head_bytes * 4), 431),
    ],
)
async def test_a_malformed_request_is_refused_with_one_line(head: bytes, status: int) -> None:
    async with server() as address:
        found, body = await request(address, head)
        assert found in (status, 0), "0: reset, because the client was still sending"
        assert body.count(b"\n") == (1 if found else 0)
        assert (await get(address, "/here"))[0] == 200


async def test_an_incomplete_request_is_refused_when_it_ends() -> None:
    async with server() as address:
        assert (await request(address, b"GET /here HT", end=True))[0] == 400


async def test_a_slow_request_times_out() -> None:
    async with server(http.Limits(head_seconds=0.05)) as address:
        assert (await request(address, b"GET /her"))[0] == 408


async def test_a_slow_answer_times_out() -> None:
    async with server(http.Limits(answer_seconds=0.05)) as address:
        assert (await get(address, "/slow"))[0] == 504


async def test_too_many_connections_are_refused() -> None:
    async with server(http.Limits(connections=2)) as address:
        host, _, port = address.rpartition(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        for _ in range(20):  # the server accepts the idle ones in its own time
            status, _ = await get(address, "/here")
            if status == 503:
                break
        assert status == 503
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()


@given(st.binary(max_size=300))
def test_the_parser_raises_nothing_else(head: bytes) -> None:
    with contextlib.suppress(http.Refused):
        method, path = http.parse_head(head)
        assert method in ("GET", "HEAD")
        assert path.startswith("/")
