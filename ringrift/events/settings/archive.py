"""Settings of the archive and of backups: where they are, and what stays in the streams."""

from typing import Annotated

from msgspec import Meta, Struct

from ringrift.events.patterns import matching
from ringrift.events.settings import kinds

Place = Annotated[
    str,
    matching(
        r"(?:|/[!-~]{1,500}|(?:s3|gs|az|file)://[A-Za-z0-9./][!-~]{0,500})",
        "a directory or a URL such as s3://bucket/prefix, without a key or password, or nothing",
    ),
]
KEEP_HOURS_MIN = 2.0
Retention = Annotated[float, Meta(ge=KEEP_HOURS_MIN, le=1_000_000.0)]
"""hours; longer than the hour for which the server knows the ids of events"""


class ArchiveSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the archiver moves to an object store, and what stays."""

    place: Place = ""
    """object store of the archive: a directory that every machine has, or a URL; empty: nothing is
    archived. Credentials are in the environment of the processes"""
    keep_hours: Retention = 168.0
    """age from which games leave the stream: the window of a training rarely reaches back further
    than a week"""
    keep_bytes: kinds.Bytes = 100_000_000_000
    """bytes of games in the stream above which the oldest segments leave before `keep_hours`, but
    not before they are two hours old. Half of it once a disk of a node with coordinators is in the
    tier `caution` (80 %), 0 from `warning` on (95 %), where no more tickets are taken"""
    events_keep_hours: kinds.NonNegativeFloat = 0.0
    """age from which other events leave the stream, at least 2; 0: they are archived and stay. A
    year of them is a few GB, and where they leave, every machine needs access to the archive"""
    segment_bytes: Annotated[int, Meta(ge=1_000, le=1_000_000_000)] = 64_000_000
    """size of the messages in one segment: a segment is in memory while it is made"""
    models_delete_hours: kinds.NonNegativeFloat = 720.0
    """age from which networks that lost, and that nothing needs, are deleted where there is no
    archive; 0: never. A month leaves time for `ringrift model keep`"""
    models_keep_hours: Retention = 168.0
    """age from which networks leave the bucket that are neither current, nor parents of current
    ones, nor kept (`ringrift model keep`)"""


class BackupSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scheduled backups."""

    place: Place = ""
    """directory or object store for backups, best not that of the archive; empty: none are made"""
    every_hours: kinds.Hours = 24.0
    """time between the beginnings of two backups"""
    keep: kinds.Positive = 14
    """newest backups that are kept"""

    @property
    def overdue_hours(self) -> float:
        """Age from which the newest backup is too old."""
        return 2 * self.every_hours
