"""A very small HTTP server in the process's own event loop: GET and HEAD, one request a connection,
everything bounded.

The standard library's server needs threads, and would answer while the loop that does the work
stands still; this one stands with it. What is no plain request is refused with one line and closed;
nothing a client sends reaches further than the head's parser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from msgspec import Struct

HEAD_BYTES_MAX = 8192
HEAD_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 20.0
CONNECTIONS_MAX = 32
PATH_CHARACTERS_MAX = 1024
TEXT, JSON = "text/plain; charset=utf-8", "application/json"
METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Answer(Struct, frozen=True):
    """Status code, content type, body."""

    status: int
    kind: str
    body: bytes


class Refused(Exception):
    """A request that is none; the text goes back in one line."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


Respond = Callable[[str], Awaitable[Answer]]
"""The answer to a path without its query."""


async def serve(host: str, port: int, respond: Respond) -> asyncio.Server:
    """Listen; port 0 takes a free one. Raises OSError if the port is taken."""
    slots = asyncio.Semaphore(CONNECTIONS_MAX)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if slots.locked():
                await _send(
                    writer,
                    _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections: come again"),
                    body=True,
                )
                return
            async with slots:
                answer, body = await _answer(reader, respond)
                await _send(writer, answer, body=body)
        except (OSError, TimeoutError):
            pass  # the client has left, or takes the answer too slowly: nobody is there to be told
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), HEAD_SECONDS_MAX)

    return await asyncio.start_server(talk, host, port, limit=HEAD_BYTES_MAX)


async def _answer(reader: asyncio.StreamReader, respond: Respond) -> tuple[Answer, bool]:
    """The answer to one request, and whether its body is wanted."""
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS_MAX)
        method, path = parse_head(head)
    except Refused as error:
        return _refusal(error.status, str(error)), True
    except asyncio.LimitOverrunError:
        return _refusal(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"a request's head has at most {HEAD_BYTES_MAX} bytes",
        ), True
    except TimeoutError:
        return _refusal(
            HTTPStatus.REQUEST_TIMEOUT, f"no whole head within {HEAD_SECONDS_MAX:g} s"
        ), True
    except asyncio.IncompleteReadError:
        return _refusal(HTTPStatus.BAD_REQUEST, "the request ends before its head does"), True
    try:
        return await asyncio.wait_for(respond(path), ANSWER_SECONDS_MAX), method == "GET"
    except TimeoutError:
        return _refusal(
            HTTPStatus.GATEWAY_TIMEOUT, f"no answer within {ANSWER_SECONDS_MAX:g} s"
        ), True


def parse_head(head: bytes) -> tuple[str, str]:
    """Method and path without query of a request's head. Raises Refused."""
    line, _, _ = head.partition(b"\r\n")
    words = line.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise Refused(HTTPStatus.BAD_REQUEST, "the first line of a request is METHOD PATH HTTP/1.1")
    if words[0] not in (b"GET", b"HEAD"):
        raise Refused(
            HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD: nothing here can be changed"
        )
    path = words[1].partition(b"?")[0]
    if (
        not path.startswith(b"/")
        or len(path) > PATH_CHARACTERS_MAX
        or not all(0x20 < byte < 0x7F for byte in path)
    ):
        raise Refused(HTTPStatus.BAD_REQUEST, "the path is not plain ASCII beginning with /")
    return words[0].decode(), path.decode()


def _refusal(status: HTTPStatus, text: str) -> Answer:
    return Answer(status.value, TEXT, text.encode() + b"\n")


async def _send(writer: asyncio.StreamWriter, answer: Answer, *, body: bool) -> None:
    status = HTTPStatus(answer.status)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {answer.kind}\r\nContent-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + (answer.body if body else b""))
    await asyncio.wait_for(writer.drain(), HEAD_SECONDS_MAX)
