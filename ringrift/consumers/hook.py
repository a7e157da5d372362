"""The hook by which a provider is asked: a program of the operator, one call a process.

It reads one JSON object from its standard input and writes one to its standard output:

    {"verb": "list"}           -> {"instances": [{"id", "name", "offer", "cost_per_hour"}, ...]}
    {"verb": "rent", "key", "name", "offer", "cost_per_hour_max"} -> {"id", "cost_per_hour"}
    {"verb": "return", "key", "name", "id"}                       -> {}
    {"verb": "restart", "key", "name", "id"}                      -> {}

`list` shows only what this cluster rented, so the hook tags it. `rent` with a `key` that it has
seen returns what it rented then. `return` of what does not run any more succeeds. It refuses with
{"error": TEXT}, which is recorded; then nothing has changed. Any other end leaves open what was
done: a status other than 0, no such JSON object, no answer in time. What it writes to its standard
error goes to the log of this process and into no fact, since it may contain secrets."""

import asyncio
import contextlib
import os
import re
import shlex
import signal
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

HOOK = "RINGRIFT_RENT_HOOK"
ANSWER_BYTES_MAX, CHUNK_BYTES = 1 << 20, 1 << 16
ERROR_CHARS_MAX = 500
END_SECONDS_MAX = 5.0
"""to read what a killed process left in its pipe, which takes milliseconds"""
INSTANCES_MAX = 10_000
_NAME = re.compile("[a-z0-9_-]{1,64}")
Id = Annotated[str, Meta(min_length=1, max_length=200)]
Cost = Annotated[float, Meta(ge=0.0, le=1e9)]


class HookFailed(Exception):
    """The hook did not answer as it should; what it did is unknown."""


class HookRefused(HookFailed):
    """The hook answered that it could not do it; nothing has changed."""


class Listed(Struct, frozen=True, kw_only=True):
    """Something that the provider runs for this cluster."""

    id: Id
    name: Annotated[str, Meta(max_length=200)] = ""
    offer: Annotated[str, Meta(max_length=200)] = ""
    cost_per_hour: Cost = 0.0


class Answer(Struct, frozen=True, kw_only=True):
    """What a hook answers; which fields have a meaning depends on the verb."""

    id: Annotated[str, Meta(max_length=200)] = ""
    cost_per_hour: Cost | None = None
    instances: Annotated[tuple[Listed, ...], Meta(max_length=INSTANCES_MAX)] | None = None
    error: str | None = None


async def call(command: str, request: Mapping[str, object], seconds: float) -> Answer:
    """Call the hook once. Raises HookFailed, HookRefused."""
    try:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise HookFailed(f"the hook does not start: {error}") from error
    try:
        async with asyncio.timeout(seconds):
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(ConnectionError):  # a hook need not read what it knows
                process.stdin.write(msgspec.json.encode(request))
                await process.stdin.drain()
            process.stdin.close()
            answer = b""
            while more := await process.stdout.read(CHUNK_BYTES):
                answer += more
                if len(answer) > ANSWER_BYTES_MAX:
                    raise HookFailed(f"the hook answered more than {ANSWER_BYTES_MAX:,} bytes")
            status = await process.wait()
    except TimeoutError as error:
        raise HookFailed(f"the hook did not answer within {seconds:g} s") from error
    finally:
        await end(process)
    return _read(answer, status)


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a process that leads a session, with all that it left there, and wait for its end.

    asyncio also waits for the end of its output, and does not read more while much of it is unread.
    So the rest is read here, for `END_SECONDS_MAX` at most, because a program that left the session
    may keep the output open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.communicate(), END_SECONDS_MAX)


def _read(answer: bytes, status: int) -> Answer:
    try:
        found = msgspec.json.decode(answer, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HookFailed(f"the hook ended with status {status} and no valid answer") from error
    if found.error is not None:
        raise HookRefused(found.error[:ERROR_CHARS_MAX])
    if status:
        raise HookFailed(f"the hook ended with status {status}")
    return found


def is_name(text: str) -> bool:
    """Whether a text can be the name of a node."""
    return _NAME.fullmatch(text) is not None
