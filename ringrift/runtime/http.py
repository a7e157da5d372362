"""A minimal HTTP server in the process's own event loop: GET and HEAD, one request per connection,
every resource bounded.

It shares the event loop with the work on purpose: the standard library's server runs in threads and
would still answer while the loop hangs. A malformed request is refused with one line, and no input
reaches further than the parser of the request head."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from msgspec import Struct

TEXT, JSON = "text/plain; charset=utf-8", "application/json"
PATH_CHARACTERS_MAX = 1024


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on one server and on each connection."""

    connections: int = 32
    head_bytes: int = 8192
    head_seconds: float = 5.0
    answer_seconds: float = 20.0


LIMITS = Limits()


class Answer(Struct, frozen=True):
    """Status code, content type, body."""

    status: int
    kind: str
    body: bytes


class Refused(Exception):
    """The request is malformed or not allowed; the message is returned to the client."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


Respond = Callable[[str], Awaitable[Answer]]
"""The answer to a path without its query."""


async def serve(host: str, port: int, respond: Respond, limits: Limits = LIMITS) -> asyncio.Server:
    """Listen; port 0 takes a free one. Raises OSError if the port is taken."""
    slots = asyncio.Semaphore(limits.connections)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if slots.locked():  # answer at once: a queue of waiting clients has no bound
                busy = _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; try again")
                await _send(writer, busy, limits)
                return
            async with slots:
                await _send(writer, await _answer(reader, respond, limits), limits)
        except (OSError, TimeoutError):
            pass  # the client has left or reads too slowly
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), limits.head_seconds)

    return await asyncio.start_server(talk, host, port, limit=limits.head_bytes)


async def _answer(reader: asyncio.StreamReader, respond: Respond, limits: Limits) -> bytes:
    """The whole answer to one request."""
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), limits.head_seconds)
        method, path = parse_head(head)
    except Refused as error:
        return _refusal(error.status, str(error))
    except asyncio.LimitOverrunError:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return _refusal(status, f"the head of a request has at most {limits.head_bytes} bytes")
    except TimeoutError:
        text = f"the head was incomplete after {limits.head_seconds:g} s"
        return _refusal(HTTPStatus.REQUEST_TIMEOUT, text)
    except asyncio.IncompleteReadError:
        return _refusal(HTTPStatus.BAD_REQUEST, "the request ends before its head does")
    try:
        answer = await asyncio.wait_for(respond(path), limits.answer_seconds)
    except TimeoutError:
        text = f"no answer within {limits.answer_seconds:g} s"
        return _refusal(HTTPStatus.GATEWAY_TIMEOUT, text)
    return _encoded(answer, with_body=method == "GET")


def parse_head(head: bytes) -> tuple[str, str]:
    """Method and path, without the query, in the head of a request. Raises Refused."""
    line, _, _ = head.partition(b"\r\n")
    words = line.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise Refused(HTTPStatus.BAD_REQUEST, "the first line of a request is METHOD PATH HTTP/1.1")
    if words[0] not in (b"GET", b"HEAD"):
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are allowed")
    path = words[1].partition(b"?")[0]
    is_printable = all(0x20 < byte < 0x7F for byte in path)
    if not path.startswith(b"/") or len(path) > PATH_CHARACTERS_MAX or not is_printable:
        text = f"the path is / and at most {PATH_CHARACTERS_MAX - 1} printable ASCII characters"
        raise Refused(HTTPStatus.BAD_REQUEST, text)
    return words[0].decode(), path.decode()


def _refusal(status: HTTPStatus, text: str) -> bytes:
    return _encoded(Answer(status.value, TEXT, text.encode() + b"\n"))


def _encoded(answer: Answer, *, with_body: bool = True) -> bytes:
    lines = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.kind}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    )
    head = "".join(f"{line}\r\n" for line in lines)
    return f"{head}\r\n".encode() + (answer.body if with_body else b"")


async def _send(writer: asyncio.StreamWriter, answer: bytes, limits: Limits) -> None:
    writer.write(answer)
    await asyncio.wait_for(writer.drain(), limits.head_seconds)
