"""Errors of the log.

StreamError
├── Unreachable          no server answers at the address, or it refuses the connection
├── Forbidden            the role of this user may not publish or subscribe there
├── LogUnavailable       no acknowledgement in time; the message may be stored, and a retry is safe
│   └── LeaderChanged    the stream has a new leader, which does not know messages in flight
├── ServerRefused        the server refused for another reason; `code` is that of JetStream
│   └── StreamMissing    the stream or bucket does not exist on this server
├── ConcurrencyError     the last sequence is not the expected one: another writer was first
├── PartlyStored         some ids of a batch are in the log, and some are not
├── QueueFull            the work queue accepts no more tickets
├── PayloadTooLarge      the message exceeds the server's limit; nothing was sent
├── BlobMissing          no blob has this digest or name
├── BlobCorrupt          the bytes of a blob do not have its digest
├── LeaseLost            the holder may no longer be the only one
├── LogRewound           the log ends before a message that was read: the server lost some
└── ServerError          the embedded server cannot run
    ├── ServerMissing    no nats-server binary
    ├── ServerTooOld     a binary or a remote server without the features we need
    ├── AnotherInstance  the data directory is in use
    ├── PortInUse        the requested port is taken
    └── DiskFull         no space left for the data
"""

from __future__ import annotations

from collections.abc import Sequence

from ringrift.errors import RingRiftError


class StreamError(RingRiftError):
    """Base of the errors of `ringrift.log`."""


class Unreachable(StreamError):
    """No server answers at the address, or it refuses us."""


class Forbidden(StreamError):
    """User `role` may not do `verb` ("publish to", "listen to") `subject`: another role may."""

    def __init__(self, verb: str, subject: str, role: str | None) -> None:
        who = f"user {role!r}" if role else "a client without a user"
        super().__init__(f"{who} may not {verb} {subject}: use the credentials of a role that may")
        self.verb = verb
        self.subject = subject
        self.role = role


class LogUnavailable(StreamError):
    """The log did not acknowledge in time; sending the same ids again is safe."""


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
        self.stream = stream


class ConcurrencyError(StreamError):
    """The last message that matches `subject` has sequence `actual`, the writer expected `expected`
    (0: none)."""

    def __init__(self, subject: str, expected: int, actual: int) -> None:
        super().__init__(f"{subject}: expected last sequence {expected}, actual {actual}")
        self.subject = subject
        self.expected = expected
        self.actual = actual


class PartlyStored(StreamError):
    """The `stored` ids of a batch are in the log already, the others are not; nothing was written
    now."""

    def __init__(self, stored: Sequence[str], total: int) -> None:
        super().__init__(
            f"{len(stored)} of {total} events of the batch are stored already: {', '.join(stored) or 'ids unknown'}"
        )
        self.stored = tuple(stored)


class QueueFull(StreamError):
    """The work queue takes no more tickets until workers have caught up."""


class PayloadTooLarge(StreamError):
    """A message of `size_bytes` does not fit under the server's `limit_bytes`; nothing was sent."""

    def __init__(self, subject: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"message for {subject} has {size_bytes} bytes, the server takes {limit_bytes}: raise max_payload in nats.conf"
        )
        self.subject = subject
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class BlobMissing(StreamError):
    """No blob has this digest or name."""


class BlobCorrupt(StreamError):
    """The bytes do not have the digest they are named by."""


class LeaseLost(StreamError):
    """The holder can no longer be sure that it is the only one."""


class LogRewound(StreamError):
    """The server came back with less than it had: what was read up to `seq` is not what the log
    holds now. Read it anew."""

    def __init__(self, stream: str, seq: int) -> None:
        super().__init__(
            f"{stream} is not the log any more that was read up to {seq}: the server came back with an older one"
        )
        self.stream = stream
        self.seq = seq


class ServerError(StreamError):
    """The embedded server cannot run; the text says why and what to do."""


class ServerMissing(ServerError):
    """No nats-server binary was found."""


class ServerTooOld(ServerError):
    """The server lacks features of the version we need."""


class AnotherInstance(ServerError):
    """Another process uses the data directory."""


class PortInUse(ServerError):
    """The port asked for is taken."""


class DiskFull(ServerError):
    """There is no room for the data."""
