"""The archive of streams and networks, and backups."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ringrift.events.fact import StreamName
from ringrift.events.facts.vocabulary import *

Source = Literal["cache", "bucket", "archive", "directory"]
"""where a blob is looked for, in this order"""


class SegmentArchived(Fact, subject="archive.{stream}.segment-archived"):
    """Messages `first_seq..last_seq` of a stream are in the object `place` of the archive, and a
    copy that was read back had this digest. The next segment begins at `last_seq + 1`.

    `last_ms` is when the newest of them was stored, in milliseconds since 1970, rounded up.
    `completed` counts the games among them by config."""

    stream: StreamName
    first_seq: Positive
    last_seq: Positive
    messages: Count
    digest: Sha256
    size_bytes: Count
    place: Text
    last_ms: Count
    completed: dict[ConfigName, Count] = {}

    def __post_init__(self) -> None:
        law(self.first_seq <= self.last_seq, "first_seq is behind last_seq")
        _law_of_place(self.place)


class StreamTrimmed(Fact, subject="archive.{stream}.stream-trimmed"):
    """Messages up to `last_seq` of a stream are read in the archive from now on: every segment up
    to there was read twice with its digest. A minute later they leave the stream, except for the
    newest of each subject and the facts about keys and the archive."""

    stream: StreamName
    last_seq: Positive


class ArchiveFailed(Fact, subject="archive.all.failed"):
    """The object store of the archive cannot be used; in force until `ArchiveRecovered`. Nothing
    leaves the streams meanwhile."""

    place: Text
    error: Text


class ArchiveRecovered(Fact, subject="archive.all.recovered"):
    """The object store of the archive works again."""

    place: Text


class ModelKept(ConfigFact, subject="archive.{config}.model-kept"):
    """A person wants a network to stay in the bucket, or with `kept` false no longer."""

    model: Sha256
    kept: bool
    why: Text


class ModelArchived(ConfigFact, subject="archive.{config}.model-archived"):
    """A network is in the object `place` of the archive, read twice with its digest, and leaves the
    bucket. It returns when it is asked for."""

    model: Sha256
    size_bytes: Count
    place: Text

    def __post_init__(self) -> None:
        _law_of_place(self.place)


def _law_of_place(place: str) -> None:
    law(place.count("/") >= 2, "the place is not of the form STORE/FOLDER/NAME")


class Attempt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source that a blob was looked for in, why it did not have it (empty: it had it), and the
    time in milliseconds."""

    source: Source
    error: Text
    ms: Count


class BlobFetched(Fact, subject="blob.{node}.fetched", for_people=True):
    """A blob was fetched from another source than its bucket, after these attempts."""

    node: Token
    bucket: Name
    digest: Sha256
    attempts: Annotated[tuple[Attempt, ...], Meta(max_length=8)]


class BackupFinished(Fact, subject="backup.all.finished"):
    """A backup of all streams is complete: `new_bytes` of its `size_bytes` were not in an earlier
    one."""

    place: Text
    name: Name
    size_bytes: Count
    new_bytes: Count
    backup_seconds: NonNegative


class BackupFailed(Fact, subject="backup.all.failed"):
    """A backup was not completed; the next one continues with what it has stored."""

    place: Text
    error: Text
