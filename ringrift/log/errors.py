"""The errors between a process and the log.

StreamError
├── Unreachable          no server answers at the address, or it rejects the login
├── Forbidden            the role of this process may not publish or subscribe there
├── LogUnavailable       no acknowledgement in time; the message may or may not be stored
│   └── LeaderChanged    the stream has a new leader, which does not know messages in flight
├── ServerRefused        the server refused a request; `code` is JetStream's error code
│   └── StreamMissing    the stream or bucket does not exist on this server
├── ConcurrencyError     another writer was first: the expected last sequence is not the actual
├── PartlyStored         some ids of a batch are stored already and some are not
├── IdsTaken             other messages have the ids of events; `Log.append` gives them new ones
├── QueueFull            the work queue takes no more tickets until workers have caught up
├── PayloadTooLarge      a message exceeds the server's limit; nothing was sent
├── StoreError           the object store beside the log cannot be used
├── BlobMissing          no blob has this digest or name
├── BlobCorrupt          the bytes do not have the digest that they are named by
├── LeaseLost            the holder can no longer be sure that it is the only one
├── LogRewound           the server lost messages that were read from it
└── ServerError          the embedded server cannot run
    ├── ServerMissing    no nats-server binary
    ├── ServerTooOld     a binary or a remote server lacks features that are needed
    ├── AnotherInstance  the data directory is in use
    ├── PortInUse        the requested port is taken
    └── DiskFull         no room for the data
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ringrift.errors import RingRiftError


class StreamError(RingRiftError):
    """Base of the errors of `ringrift.log`."""


class Unreachable(StreamError):
    """No server answers at the address, or it rejects the login."""


class Forbidden(StreamError):
    """User `role` may not `verb` ("publish to", "subscribe to") `subject`."""

    def __init__(self, verb: str, subject: str, role: str | None) -> None:
        who = f"user {role!r}" if role else "a client without a user"
        super().__init__(f"{who} may not {verb} {subject}: use the credentials of a role that may")
        self.verb = verb
        self.subject = subject
        self.role = role


class LogUnavailable(StreamError):
    """The log did not acknowledge in time; it is safe to send the same ids again."""


class LeaderChanged(LogUnavailable):
    """The stream has a new leader, which does not know messages in flight to the old one."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"{stream} has a new leader")


class ServerRefused(StreamError):
    """The server refused a request. `code` is JetStream's error code, `status` its class, which is
    like that of HTTP."""

    def __init__(self, code: int, text: str, status: int = 0) -> None:
        super().__init__(f"{text} (JetStream error {code})")
        self.code = code
        self.text = text
        self.status = status


class StreamMissing(ServerRefused):
    """The stream or bucket does not exist on this server."""

    CODE = 10059

    def __init__(self, stream: str) -> None:
        text = f"stream {stream} does not exist on this server; `ringrift up` creates it"
        super().__init__(self.CODE, text, 404)


class ConcurrencyError(StreamError):
    """The last message that matches `subject` has sequence `actual`, not `expected` (0: none)."""

    def __init__(self, subject: str, expected: int, actual: int) -> None:
        super().__init__(f"{subject}: expected last sequence {expected}, actual {actual}")
        self.subject = subject
        self.expected = expected
        self.actual = actual


class PartlyStored(StreamError):
    """The ids `stored` of a batch are stored already, the others are not; nothing was written."""

    def __init__(self, stored: Sequence[str], total: int) -> None:
        ids = ", ".join(stored) or "ids unknown"
        super().__init__(f"{len(stored)} of {total} events of the batch are stored already: {ids}")
        self.stored = tuple(stored)


class IdsTaken(StreamError):
    """Other messages have the ids of events of a batch; nothing was written. `taken`: the messages
    by id."""

    def __init__(self, taken: Mapping[str, Any]) -> None:
        super().__init__(f"ids of {len(taken)} events are taken by other messages")
        self.taken = dict(taken)


class QueueFull(StreamError):
    """The work queue takes no more tickets until workers have caught up."""


class PayloadTooLarge(StreamError):
    """A message of `size_bytes` exceeds the server's `limit_bytes`; nothing was sent."""

    def __init__(self, subject: str, size_bytes: int, limit_bytes: int) -> None:
        what = f"message for {subject} has {size_bytes} bytes"
        limit = f"the server takes {limit_bytes}: raise max_payload in nats.conf"
        super().__init__(f"{what}, {limit}")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class StoreError(StreamError):
    """The object store beside the log cannot be used; the text says where and why."""


class BlobMissing(StreamError):
    """No blob has this digest or name."""


class BlobCorrupt(StreamError):
    """The bytes do not have the digest that they are named by."""


class LeaseLost(StreamError):
    """The holder can no longer be sure that it is the only one."""


class LogRewound(StreamError):
    """The server lost messages of `stream` that were read up to sequence `seq`. Read it again from
    the start."""

    def __init__(self, stream: str, seq: int) -> None:
        super().__init__(f"{stream} lost messages that were read up to sequence {seq}")


class VoterAway(StreamError):
    """A cluster without streams is not new, or has a voter that takes no part: the log may be
    elsewhere."""


class ServerError(StreamError):
    """The embedded server cannot run; the text says why and what to do."""


class ServerMissing(ServerError):
    """No nats-server binary was found."""


class ServerTooOld(ServerError):
    """The server lacks features of the version that is needed."""


class AnotherInstance(ServerError):
    """Another process uses the data directory."""


class PortInUse(ServerError):
    """The requested port is taken."""


class DiskFull(ServerError):
    """There is no room for the data."""
