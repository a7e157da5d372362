"""The log on a JetStream server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import nats.errors
from msgspec import Struct

from ringrift.events import Draft, Recorded, encode
from ringrift.log import api, reader
from ringrift.log.connect import Connection, connect
from ringrift.log.dead_letters import DeadLetter, bury
from ringrift.log.errors import (
    ConcurrencyError,
    LogUnavailable,
    PartlyStored,
    PayloadTooLarge,
    QueueFull,
    ServerRefused,
)
from ringrift.log.ledger import Ledger
from ringrift.log.protocol import Entry, Expect, Progress, Refuse, Remade, WorkItem, stream_of
from ringrift.log.recreate import Remaker
from ringrift.log.retry import retried
from ringrift.log.topology import EVENT_IDS_SECONDS, GAME_IDS_SECONDS, GAMES, WORK
from ringrift.log.wire import split_servers
from ringrift.log.work import JetStreamWorkItem, take_ticket

ANSWER_SECONDS_MAX = 2.0
"""what is sent while nobody leads the stream is lost without a word: it is sent again after so
long, or when there is a leader"""
MISSING_SECONDS_MAX = 1.0
"""who asks whether a stream is there hears nothing either while nobody leads it"""
EACH_EVENTS_MAX = 100
"""independent events written together: a batch costs the disk four syncs, single messages one
each"""
HEADER_BYTES_MAX = 2048
CLOCK_SKEW = timedelta(minutes=1)

T = TypeVar("T")
_ACK = msgspec.json.Decoder(dict[str, Any])


class _Message(Struct, frozen=True):
    subject: str
    body: bytes
    headers: dict[str, str]


class JetStreamLog:
    """`ringrift.log.protocol.Log` over a connected client."""

    def __init__(self, client: Connection, url: str) -> None:
        self.client = client
        self.servers = split_servers(url)
        self.ledger = Ledger()
        self.returned = client.returned
        self._turns: dict[str, asyncio.Lock] = {}
        self._remaker = Remaker(self.ask)

    @classmethod
    async def open(cls, url: str, *, name: str) -> JetStreamLog:
        """Connects. Raises Unreachable, ServerTooOld."""
        return cls(await connect(url, name=name), url)

    async def close(self) -> None:
        """Sends what is buffered and disconnects; a server that is gone already is no error."""
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            await self.client.flush(1)
        with contextlib.suppress(
            nats.errors.Error, OSError, AttributeError
        ):  # the last: writing to a TLS connection that is gone
            await self.client.close()

    async def ask(self, subject: str, payload: bytes, timeout: float) -> bytes:
        """One question to the server, an `api.Ask`. Raises TimeoutError, LogUnavailable without
        JetStream."""
        try:
            return (await self.client.request(subject, payload, timeout=timeout)).data
        except nats.errors.NoRespondersError as error:
            raise LogUnavailable(
                f"nothing answers on {subject}: JetStream is not running there"
            ) from error

    async def call(self, subject: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer of `$JS.API.<subject>`, asked again while there is none. Raises ServerRefused,
        LogUnavailable."""

        async def attempt() -> dict[str, Any]:
            return await api.call(self.ask, subject, request)

        return await self._retried(attempt, f"$JS.API.{subject}")

    # writing

    async def append(self, drafts: Sequence[Draft], expect: Expect | None = None) -> list[int]:
        """See `Log.append`."""
        if not drafts:
            return []
        stream = stream_of(drafts)
        messages = [_message(item) for item in drafts]
        self._check_sizes(messages)
        if expect is not None:
            first = messages[0].headers
            first["Nats-Expected-Last-Subject-Sequence"] = str(expect.last_seq)
            first["Nats-Expected-Last-Subject-Sequence-Subject"] = expect.subject_filter
        async with self._turn(expect):
            seqs = await self._until_settled(stream, drafts, messages, expect)
        if expect is None:
            self.ledger.add(drafts, seqs, [len(message.body) for message in messages])
        return seqs

    async def append_each(self, drafts: Sequence[Draft]) -> list[int]:
        """See `Log.append_each`."""
        seqs: list[int] = []
        for at in range(0, len(drafts), EACH_EVENTS_MAX):
            seqs += await self._append_part(drafts[at : at + EACH_EVENTS_MAX])
        return seqs

    async def _append_part(self, drafts: Sequence[Draft]) -> list[int]:
        """All at once if all are new, else one by one."""
        stream, messages = stream_of(drafts), [_message(item) for item in drafts]
        self._check_sizes(messages)

        async def attempt() -> list[int]:
            try:
                return await self._write(stream, messages)
            except ServerRefused as error:
                if error.code != api.DUPLICATE_IN_BATCH:
                    raise
                return [(await self.append([item]))[0] for item in drafts]

        seqs = await self._retried(attempt, f"append to {stream}")
        self.ledger.add(drafts, seqs, [len(message.body) for message in messages])
        return seqs

    def _turn(self, expect: Expect | None) -> contextlib.AbstractAsyncContextManager[Any]:
        """Appends under the same expectation wait for each other: a cluster refuses all but one in
        flight."""
        if expect is None:
            return contextlib.nullcontext()
        return self._turns.setdefault(expect.subject_filter, asyncio.Lock())

    async def _until_settled(
        self,
        stream: str,
        drafts: Sequence[Draft],
        messages: Sequence[_Message],
        expect: Expect | None,
    ) -> list[int]:
        async def attempt() -> list[int] | None:
            try:
                return await self._write(stream, messages)
            except ServerRefused as error:
                if error.code not in (api.WRONG_LAST_SEQUENCE, api.DUPLICATE_IN_BATCH):
                    raise
                return await self._settle(stream, drafts, expect)

        return await self._retried(attempt, f"append to {stream}")

    async def _write(self, stream: str, messages: Sequence[_Message]) -> list[int]:
        """One attempt; the sequences."""
        if len(messages) == 1:
            return [(await self._publish(messages[0], stream))["seq"]]
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
        return list(range(answer["seq"] - count + 1, answer["seq"] + 1))

    async def _publish(self, message: _Message, stream: str) -> dict[str, Any]:
        try:
            answer = await self.client.request(
                message.subject, message.body, timeout=ANSWER_SECONDS_MAX, headers=message.headers
            )
        except nats.errors.NoRespondersError:
            async with asyncio.timeout(MISSING_SECONDS_MAX):
                await api.stream_state(self.ask, stream)  # raises StreamMissing if that is why
            raise
        acknowledged = _ACK.decode(answer.data) if answer.data else {}
        api.raise_for_error(acknowledged)
        return acknowledged

    async def _settle(
        self, stream: str, drafts: Sequence[Draft], expect: Expect | None
    ) -> list[int] | None:
        """After a refusal: the sequences if an earlier attempt had stored it all, None if it is
        worth another attempt."""
        ids = [item.id for item in drafts]
        window = timedelta(seconds=GAME_IDS_SECONDS if stream == GAMES else EVENT_IDS_SECONDS)
        found = await self.stored(
            stream,
            ids,
            sorted({item.subject for item in drafts}),
            datetime.now(UTC) - window - CLOCK_SKEW,
        )
        if len(found) == len(ids):
            return [found[key] for key in ids]
        if found or expect is None:
            raise PartlyStored([key for key in ids if key in found], len(ids))
        newest = await self.last(stream, expect.subject_filter)
        actual = newest.seq if newest else 0
        if actual == expect.last_seq:
            return None
        raise ConcurrencyError(expect.subject_filter, expect.last_seq, actual)

    def _check_sizes(self, messages: Sequence[_Message]) -> None:
        limit = self.client.max_payload - HEADER_BYTES_MAX
        for message in messages:
            if len(message.body) > limit:
                raise PayloadTooLarge(message.subject, len(message.body), limit)

    async def publish(
        self,
        stream: str,
        subject: str,
        body: bytes,
        *,
        id: str | None = None,
        expect_last: int | None = None,
        kept_seconds: int | None = None,
        rollup: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """See `Log.publish`."""
        given = {
            "Nats-Msg-Id": id,
            "Nats-Expected-Last-Subject-Sequence": expect_last,
            "Nats-Rollup": "sub" if rollup else None,
            "Nats-TTL": None if kept_seconds is None else f"{kept_seconds}s",
        }
        message = _Message(
            subject,
            body,
            dict(headers or {})
            | {name: str(value) for name, value in given.items() if value is not None},
        )
        self._check_sizes([message])

        async def attempt() -> int | None:
            try:
                return int((await self._publish(message, stream))["seq"])
            except ServerRefused as error:
                if error.code != api.WRONG_LAST_SEQUENCE or expect_last is None:
                    raise
                newest = await self.last(stream, subject)
                if newest is not None and id is not None and newest.id == id:
                    return (
                        newest.seq
                    )  # an earlier attempt had stored it, only its acknowledgement was lost
                actual = newest.seq if newest else 0
                if actual == expect_last:
                    return None
                raise ConcurrencyError(subject, expect_last, actual) from error

        return await self._retried(attempt, f"publish to {stream}")

    async def purge(self, stream: str, subject: str) -> None:
        """See `Log.purge`."""

        async def attempt() -> dict[str, Any]:
            return await api.call(self.ask, f"STREAM.PURGE.{stream}", {"filter": subject})

        await self._retried(attempt, f"purge of {stream}")

    async def subjects(self, stream: str, subject_filter: str) -> list[str]:
        """See `Log.subjects`."""
        found: list[str] = []
        while True:
            request = {"subjects_filter": subject_filter, "offset": len(found)}

            async def attempt(request: Mapping[str, Any] = request) -> dict[str, Any]:
                return await api.call(self.ask, f"STREAM.INFO.{stream}", request)

            info = await self._retried(attempt, f"subjects of {stream}")
            page = info["state"].get("subjects") or {}
            found += page
            if not page or len(found) >= info.get("total", 0):
                return sorted(found)

    async def _retried(self, attempt: Callable[[], Coroutine[Any, Any, T | None]], what: str) -> T:
        return await retried(attempt, what, self.client)

    # reading

    def read(
        self,
        stream: str,
        *,
        filters: Sequence[str] = (),
        start_seq: int = 1,
        start_time: datetime | None = None,
        until_seq: int | None = None,
        progress: Progress | None = None,
    ) -> AsyncGenerator[list[Entry], None]:
        """See `Log.read`. Raises StreamMissing, LogUnavailable."""
        return reader.read(
            self.servers,
            stream,
            reader.entries_of,
            filters=filters,
            start_seq=start_seq,
            start_time=start_time,
            until_seq=until_seq,
            progress=progress,
        )

    def replay(
        self,
        stream: str,
        *,
        refuse: Refuse,
        filters: Sequence[str] = (),
        start_seq: int = 1,
        start_time: datetime | None = None,
        until_seq: int | None = None,
        progress: Progress | None = None,
    ) -> AsyncGenerator[list[Recorded], None]:
        """See `Log.replay`. Raises StreamMissing, LogUnavailable."""
        return reader.read(
            self.servers,
            stream,
            reader.recorder(stream, refuse),
            filters=filters,
            start_seq=start_seq,
            start_time=start_time,
            until_seq=until_seq,
            progress=progress,
        )

    def follow(
        self, stream: str, *, filters: Sequence[str] = (), start_seq: int = 1
    ) -> AsyncGenerator[Entry, None]:
        """See `Log.follow`. Raises StreamMissing."""
        return reader.follow(self.servers, stream, filters=filters, start_seq=start_seq)

    async def last(self, stream: str, subject_filter: str) -> Entry | None:
        """See `Log.last`."""

        async def attempt() -> tuple[Entry | None]:
            return (await api.last_message(self.ask, stream, subject_filter),)

        return (await self._retried(attempt, f"last of {stream}"))[0]

    async def get(self, stream: str, seq: int) -> Entry | None:
        """See `Log.get`."""

        async def attempt() -> tuple[Entry | None]:
            return (await api.get_message(self.ask, stream, {"seq": seq}),)

        return (await self._retried(attempt, f"get from {stream}"))[0]

    async def tail(self, stream: str) -> int:
        """See `Log.tail`."""

        async def attempt() -> dict[str, Any]:
            return await api.stream_state(self.ask, stream)

        return int((await self._retried(attempt, f"tail of {stream}"))["last_seq"])

    async def stored(
        self, stream: str, ids: Sequence[str], filters: Sequence[str], since: datetime
    ) -> dict[str, int]:
        """See `Log.stored`."""
        wanted, found = set(ids), dict[str, int]()
        async for batch in reader.read(
            self.servers,
            stream,
            reader.entries_of,
            filters=filters,
            start_time=since,
            headers_only=True,
        ):
            found |= {entry.id: entry.seq for entry in batch if entry.id in wanted}
        return found

    # work and dead letters

    async def publish_ticket(self, subject: str, body: bytes, ticket: str) -> int:
        """See `Log.publish_ticket`."""
        message = _Message(subject, body, {"Nats-Msg-Id": ticket})
        self._check_sizes([message])

        async def attempt() -> int:
            try:
                return int((await self._publish(message, WORK))["seq"])
            except ServerRefused as error:
                if error.code == api.QUEUE_IS_FULL:
                    raise QueueFull(f"no room for ticket {ticket}: {error.text}") from error
                raise

        return await self._retried(attempt, "ticket")

    async def queued(self) -> list[Entry]:
        """See `Log.queued`."""

        async def attempt() -> list[Entry]:
            found: list[Entry] = []
            seq = 1
            while entry := await api.get_message(
                self.ask, WORK, {"seq": seq, "next_by_subj": "ringrift.work.>"}
            ):
                found.append(entry)
                seq = entry.seq + 1
            return found

        return await self._retried(attempt, "queue")

    async def next_ticket(self, kind: str, *, wait_seconds: float) -> WorkItem | None:
        """See `Log.next_ticket`."""
        item: JetStreamWorkItem | None = await take_ticket(self.client, kind, wait_seconds)
        return item

    async def heal(self) -> list[Remade]:
        """See `Log.heal`."""
        return await self._remaker.look()

    async def dead_letter(
        self,
        *,
        body: bytes,
        subject: str,
        stream: str,
        seq: int,
        consumer: str,
        deliveries: int,
        reason: str,
        source: str,
        answered: bool = False,
    ) -> int:
        """See `Log.dead_letter`."""
        letter = DeadLetter(
            body, subject, stream, seq, consumer, deliveries, reason, source, answered
        )
        return await bury(self, letter)


def _message(item: Draft) -> _Message:
    headers = {"Nats-Msg-Id": item.id}
    if item.kind.kept_seconds is not None:
        headers["Nats-TTL"] = f"{item.kind.kept_seconds}s"
    return _Message(item.subject, encode(item), headers)
