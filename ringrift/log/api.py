"""Requests to JetStream's API, over any connection that can send one."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ringrift.log.entry import Entry, stamp_of
from ringrift.log.errors import DiskFull, ServerRefused, StreamMissing

Ask = Callable[[str, bytes, float], Awaitable[bytes]]
"""Sends a payload to a subject, with a timeout in seconds, and returns the answer."""
Request = Mapping[str, Any]

API_SECONDS_MAX = 5.0

WRONG_LAST_SEQUENCE = 10071
IN_FLIGHT = (10164, 10158)
"""a message in flight to the replicas conflicts: it has the same expectation, or the same id"""
DUPLICATE_IN_BATCH = 10201
QUEUE_IS_FULL = 10077
NO_MESSAGE = 10037
NO_STREAM = StreamMissing.CODE
NO_CONSUMER = 10014
CONSUMERS_FULL = 10026
NOT_CLUSTERED = 10074
NO_PEERS = 10005
NO_ROOM = (10023, 10047)


def raise_for_error(answer: Mapping[str, Any]) -> None:
    """Raise ServerRefused, or DiskFull, if the answer is an error."""
    if "error" not in answer:
        return
    error = answer["error"]
    code, text = error.get("err_code", 0), error.get("description", "no reason given")
    if code in NO_ROOM:
        remedy = "free disk space, or raise max_file_store in nats.conf"
        raise DiskFull(f"the server has no room: {text}; {remedy}")
    raise ServerRefused(code, text, error.get("code", 0))


async def call(
    ask: Ask, subject: str, request: Request | None = None, timeout: float = API_SECONDS_MAX
) -> dict[str, Any]:
    """Return the answer of `$JS.API.<subject>`. Raises ServerRefused, StreamMissing."""
    payload = b"" if request is None else json.dumps(request).encode()
    answer: dict[str, Any] = json.loads(await ask(f"$JS.API.{subject}", payload, timeout))
    try:
        raise_for_error(answer)
    except ServerRefused as error:
        if error.code == NO_STREAM:
            raise StreamMissing(_stream_in(subject)) from error
        raise
    return answer


def _stream_in(subject: str) -> str:
    """The stream that a request is about: `STREAM.INFO.<stream>`, `STREAM.MSG.GET.<stream>`,
    `CONSUMER.CREATE.<stream>.<consumer>`."""
    words = subject.split(".")
    return words[3 if words[1] in ("MSG", "LEADER") else 2]


async def stream_state(ask: Ask, stream: str) -> dict[str, Any]:
    """Return `messages`, `first_seq`, `last_seq` and more of a stream, from its leader. Raises
    StreamMissing."""
    state: dict[str, Any] = (await call(ask, f"STREAM.INFO.{stream}"))["state"]
    return state


async def get_message(ask: Ask, stream: str, request: Request) -> Entry | None:
    """Return one stored message, read from the leader, so that it is never stale. Raises
    StreamMissing."""
    try:
        message = (await call(ask, f"STREAM.MSG.GET.{stream}", request))["message"]
    except ServerRefused as error:
        if error.code == NO_MESSAGE:
            return None
        raise
    body = base64.b64decode(message.get("data", ""))
    head = base64.b64decode(message.get("hdrs", ""))
    return Entry(message["seq"], message["subject"], stamp_of(message["time"]), body, head)
