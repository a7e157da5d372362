"""The log on a JetStream server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Unpack
from uuid import uuid4

import msgspec
import nats.errors
from msgspec import Struct

from ringrift.events import Draft, Recorded
from ringrift.log import api, errors, reader
from ringrift.log.archive import Watch
from ringrift.log.connect import Connection, connect
from ringrift.log.entry import Entry, Refuse
from ringrift.log.identity import find_key
from ringrift.log.keyring import Keyring, verify_ahead
from ringrift.log.login import Login
from ringrift.log.protocol import Expect, Log
from ringrift.log.recent import Recent
from ringrift.log.retry import retried
from ringrift.log.span import Batches, Entries, Span
from ringrift.log.topology import EVENT_IDS_SECONDS, GAME_IDS_SECONDS, GAMES
from ringrift.log.wire import Wire, split_servers
from ringrift.log.work import WorkItem, take_ticket

ANSWER_SECONDS_MAX = 2.0
"""a message sent to a stream without a leader is lost without an error; it is sent again after this
time, or when a leader is elected"""
MISSING_SECONDS_MAX = 1.0
"""for the question whether a stream exists, which is not answered either without a leader"""
HEADER_BYTES_MAX = 2048
CLOCK_SKEW = timedelta(minutes=1)

_ACK = msgspec.json.Decoder(dict[str, Any])


class _Message(Struct, frozen=True):
    subject: str
    body: bytes
    headers: dict[str, str]


class JetStreamLog(Log):
    """A log over a connected client."""

    def __init__(self, client: Connection, url: str, login: Login | None = None) -> None:
        self.client = client
        self.servers = split_servers(url)
        self._dial = partial(Wire.open, self.servers, login=login)
        self.recent, self.ring = Recent(), Keyring()
        self.reconnected = client.reconnected
        self._turns: dict[str, asyncio.Lock] = {}

    @classmethod
    async def open(cls, url: str, *, name: str, login: Login | None = None) -> JetStreamLog:
        """Connect, and sign what is appended with this machine's key, if it has one. Raises
        Unreachable, ServerTooOld, CommandError."""
        log = cls(await connect(url, name=name, login=login), url, login)
        log.signer = find_key()
        return log

    @property
    def reconnects(self) -> int:  # type: ignore[override]
        """See `Log.reconnects`."""
        return int(self.client.stats.get("reconnects", 0))

    async def close(self) -> None:
        """See `Log.close`. A server that is gone is no error."""
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            await self.client.flush(1)
        # AttributeError: the library writes to a TLS connection that is gone
        with contextlib.suppress(nats.errors.Error, OSError, AttributeError):
            await self.client.close()

    async def call(
        self, subject: str, request: Mapping[str, Any] | None = None, *, retry: bool = True
    ) -> dict[str, Any]:
        """See `Log.call`."""

        async def attempt() -> dict[str, Any]:
            return await api.call(self.ask, subject, request)

        if retry:
            return await retried(attempt, f"$JS.API.{subject}", self.client)
        try:
            return await attempt()
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise errors.LogUnavailable(f"$JS.API.{subject}: {error or 'no answer'}") from error

    async def ask(self, subject: str, payload: bytes, timeout: float) -> bytes:
        """Send one request to the server, an `api.Ask`. Raises TimeoutError, LogUnavailable without
        JetStream."""
        try:
            return (await self.client.request(subject, payload, timeout=timeout)).data
        except nats.errors.NoRespondersError as error:
            why = "JetStream is not running there"
            raise errors.LogUnavailable(f"nothing answers on {subject}: {why}") from error

    # writing

    async def _append(
        self, stream: str, drafts: Sequence[Draft], bodies: Sequence[bytes], expect: Expect | None
    ) -> list[int]:
        """See `Log._append`."""
        messages = [_message(item, body) for item, body in zip(drafts, bodies, strict=True)]
        self._check_sizes(messages)
        if expect is not None:
            first = messages[0].headers
            first["Nats-Expected-Last-Subject-Sequence"] = str(expect.last_seq)
            first["Nats-Expected-Last-Subject-Sequence-Subject"] = expect.subject_filter

        async def attempt() -> list[int] | None:
            try:
                answer = await self._write(stream, messages)
            except errors.ServerRefused as error:
                if error.code not in (api.WRONG_LAST_SEQUENCE, api.DUPLICATE_IN_BATCH):
                    raise
                if error.code == api.DUPLICATE_IN_BATCH:
                    await self._check_ids(stream, drafts)
                return await self._settle(stream, drafts, expect)
            last = answer["seq"]
            if answer.get("duplicate"):
                stored = await self.get(stream, last)
                if stored and not await self.is_genuine(stored, stream, drafts[0].subject):
                    raise errors.IdsTaken({drafts[0].id: stored})
            return list(range(last - len(messages) + 1, last + 1))

        async with self._turn(expect):
            return await retried(attempt, f"append to {stream}", self.client)

    def _turn(self, expect: Expect | None) -> contextlib.AbstractAsyncContextManager[Any]:
        """Make appends under the same expectation wait for each other: a cluster refuses all but
        one of those in flight."""
        if expect is None:
            return contextlib.nullcontext()
        return self._turns.setdefault(expect.subject_filter, asyncio.Lock())

    async def _write(self, stream: str, messages: Sequence[_Message]) -> dict[str, Any]:
        """Write in one attempt; return the acknowledgement of the last message."""
        if len(messages) == 1:
            return await self._publish(messages[0], stream)
        batch, count = uuid4().hex, len(messages)
        for number, message in enumerate(messages, 1):
            message.headers["Nats-Batch-Id"] = batch
            message.headers["Nats-Batch-Sequence"] = str(number)
            if number == count:
                message.headers["Nats-Batch-Commit"] = "1"
            if number == 1 or number == count:
                answer = await self._publish(message, stream)
            else:
                await self.client.publish(message.subject, message.body, headers=message.headers)
        return answer

    async def _publish(self, message: _Message, stream: str) -> dict[str, Any]:
        try:
            answer = await self.client.request(
                message.subject, message.body, timeout=ANSWER_SECONDS_MAX, headers=message.headers
            )
        except nats.errors.NoRespondersError:
            # raises StreamMissing if that is the reason
            async with asyncio.timeout(MISSING_SECONDS_MAX):
                await api.stream_state(self.ask, stream)
            raise
        acknowledged = _ACK.decode(answer.data) if answer.data else {}
        api.raise_for_error(acknowledged)
        return acknowledged

    async def _settle(
        self, stream: str, drafts: Sequence[Draft], expect: Expect | None
    ) -> list[int] | None:
        """After a refusal, return the sequences if an earlier attempt has stored all, or None if
        another attempt may succeed."""
        ids = [item.id for item in drafts]
        subjects = sorted({item.subject for item in drafts})
        found = await self.stored(stream, ids, subjects, _deduplicated_since(stream))
        if len(found) == len(ids):
            return [found[key] for key in ids]
        if found or expect is None:
            raise errors.PartlyStored([key for key in ids if key in found], len(ids))
        newest = await self.last(stream, expect.subject_filter)
        _check_last(newest, expect.subject_filter, expect.last_seq)
        return None

    async def _check_ids(self, stream: str, drafts: Sequence[Draft]) -> None:
        """Raise IdsTaken if other messages have the ids of events."""
        wanted, taken = {item.id: item.subject for item in drafts}, dict[str, Entry]()
        async for batch in self.read(stream, start_time=_deduplicated_since(stream)):
            for entry in batch:
                id = entry.id or ""
                if id in wanted and not await self.is_genuine(entry, stream, wanted[id]):
                    taken[id] = entry
        if taken:
            raise errors.IdsTaken(taken)

    def _check_sizes(self, messages: Sequence[_Message]) -> None:
        limit = self.client.max_payload - HEADER_BYTES_MAX
        for message in messages:
            if len(message.body) > limit:
                raise errors.PayloadTooLarge(message.subject, len(message.body), limit)

    async def publish(
        self,
        stream: str,
        subject: str,
        body: bytes,
        *,
        id: str | None = None,
        expect_last: int | None = None,
        kept_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """See `Log.publish`."""
        given = {
            "Nats-Msg-Id": id,
            "Nats-Expected-Last-Subject-Sequence": expect_last,
            "Nats-TTL": None if kept_seconds is None else f"{kept_seconds}s",
        }
        sent = {name: str(value) for name, value in given.items() if value is not None}
        message = _Message(subject, body, dict(headers or {}) | sent)
        self._check_sizes([message])

        async def attempt() -> int | None:
            try:
                return int((await self._publish(message, stream))["seq"])
            except errors.ServerRefused as error:
                if error.code == api.QUEUE_IS_FULL:
                    raise errors.QueueFull(f"no room for {id or subject}: {error.text}") from error
                if error.code != api.WRONG_LAST_SEQUENCE or expect_last is None:
                    raise
                newest = await self.last(stream, subject)
                if newest is not None and id is not None and newest.id == id:
                    return newest.seq  # an earlier attempt has stored it
                _check_last(newest, subject, expect_last)
                return None

        return await retried(attempt, f"publish to {stream}", self.client)

    # reading

    def _read(
        self, stream: str, *, headers_only: bool = False, **span: Unpack[Span]
    ) -> Batches[Entry]:
        """See `Log._read`."""
        convert = reader.entries_of
        return reader.read(self._dial, stream, convert, headers_only=headers_only, **span)

    async def _replay(
        self, stream: str, *, refuse: Refuse, **span: Unpack[Span]
    ) -> Batches[Recorded]:
        """See `Log._replay`."""
        batches = reader.read(self._dial, stream, reader.unchanged, **span)
        async with contextlib.aclosing(batches):
            async for messages in batches:
                await self.know(stream, int(messages[-1][0][1]))
                if self.ring.standing.required:
                    await verify_ahead(data[body:end] for _, data, _, body, end in messages)
                yield reader.recorded_of(stream, messages, self.ring, refuse)

    def _follow(
        self, stream: str, *, watch: Watch, filters: Sequence[str] = (), start_seq: int = 1
    ) -> Entries:
        """See `Log._follow`."""
        return reader.follow(self._dial, stream, watch, filters=filters, start_seq=start_seq)

    async def last(self, stream: str, subject_filter: str) -> Entry | None:
        """See `Log.last`."""
        return await self._message(stream, {"last_by_subj": subject_filter})

    async def _get(self, stream: str, seq: int, *, under: str | None = None) -> Entry | None:
        """See `Log._get`."""
        filtered = {"next_by_subj": under} if under is not None else {}
        if not 0 < seq < 2**63:  # the server takes no such number
            return None
        return await self._message(stream, {"seq": seq, **filtered})

    async def _message(self, stream: str, wanted: Mapping[str, Any]) -> Entry | None:
        async def attempt() -> tuple[Entry | None]:
            return (await api.get_message(self.ask, stream, wanted),)

        return (await retried(attempt, f"message of {stream}", self.client))[0]

    async def next_ticket(self, kind: str, *, wait_seconds: float) -> WorkItem | None:
        """See `Log.next_ticket`."""
        return await take_ticket(self.client, kind, wait_seconds)


def _deduplicated_since(stream: str) -> datetime:
    """The earliest time at which a message was stored whose id the server knows."""
    window = timedelta(seconds=GAME_IDS_SECONDS if stream == GAMES else EVENT_IDS_SECONDS)
    return datetime.now(UTC) - window - CLOCK_SKEW


def _check_last(newest: Entry | None, subject_filter: str, expected: int) -> None:
    """Raise ConcurrencyError unless the newest message has the expected sequence (0: none)."""
    actual = newest.seq if newest else 0
    if actual != expected:
        raise errors.ConcurrencyError(subject_filter, expected, actual)


def _message(item: Draft, body: bytes) -> _Message:
    return _Message(item.subject, body, {"Nats-Msg-Id": item.id})
