"""The few calls of JetStream's API that everything here is made of, over any connection that can
ask a question."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ringrift.log.errors import DiskFull, ServerRefused, StreamMissing
from ringrift.log.protocol import Entry, stamp_of

Ask = Callable[[str, bytes, float], Awaitable[bytes]]
"""Sends `(subject, payload, timeout in seconds)` and returns the answer."""

API_SECONDS_MAX = 5.0

WRONG_LAST_SEQUENCE = 10071
IN_FLIGHT = (10164, 10158)
"""a conflict with a message that is still on its way to the replicas: under the same expectation,
with the same id"""
DUPLICATE_IN_BATCH = 10201
QUEUE_IS_FULL = 10077
NO_MESSAGE = 10037
NO_STREAM = 10059
NO_CONSUMER = 10014
CONSUMERS_FULL = 10026
NOT_CLUSTERED = 10074
NO_PEERS = 10005
NO_ROOM = (10023, 10047)


def raise_for_error(answer: Mapping[str, Any]) -> None:
    """Raises ServerRefused if the answer is an error, DiskFull if that is why."""
    if "error" in answer:
        error = answer["error"]
        if error.get("err_code") in NO_ROOM:
            raise DiskFull(
                f"the server has no room: {error.get('description')}; free some, or raise max_file_store in nats.conf"
            )
        raise ServerRefused(
            error.get("err_code", 0),
            error.get("description", "no reason given"),
            error.get("code", 0),
        )


async def call(
    ask: Ask,
    subject: str,
    request: Mapping[str, Any] | None = None,
    timeout: float = API_SECONDS_MAX,
) -> dict[str, Any]:
    """The answer of `$JS.API.<subject>`. Raises ServerRefused."""
    payload = b"" if request is None else json.dumps(request).encode()
    answer: dict[str, Any] = json.loads(await ask(f"$JS.API.{subject}", payload, timeout))
    raise_for_error(answer)
    return answer


async def stream_state(ask: Ask, stream: str) -> dict[str, Any]:
    """`messages`, `first_seq`, `last_seq` and more of a stream, from its leader. Raises
    StreamMissing."""
    try:
        state: dict[str, Any] = (await call(ask, f"STREAM.INFO.{stream}"))["state"]
    except ServerRefused as error:
        raise _missing_or(error, stream) from error
    return state


async def get_message(ask: Ask, stream: str, request: Mapping[str, Any]) -> Entry | None:
    """One stored message, from the leader, so that it is never stale. Raises StreamMissing."""
    try:
        message = (await call(ask, f"STREAM.MSG.GET.{stream}", request))["message"]
    except ServerRefused as error:
        if error.code == NO_MESSAGE:
            return None
        raise _missing_or(error, stream) from error
    body = base64.b64decode(message.get("data", ""))
    head = base64.b64decode(message.get("hdrs", ""))
    return Entry(message["seq"], message["subject"], stamp_of(message["time"]), body, head)


async def last_message(ask: Ask, stream: str, subject_filter: str) -> Entry | None:
    """The newest message that matches the filter, from the leader."""
    return await get_message(ask, stream, {"last_by_subj": subject_filter})


def _missing_or(error: ServerRefused, stream: str) -> Exception:
    return StreamMissing(stream) if error.code == NO_STREAM else error
