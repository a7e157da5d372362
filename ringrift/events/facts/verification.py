"""Verification of the log."""

from typing import Annotated

from msgspec import Meta

from ringrift.events.facts.vocabulary import Count, Fact, NodeFact, Positive, Sha256, law

LEAF_MARK_CHARS = 4
"""of each leaf in a tree head: 24 bits. Roots show that two logs differ, these bits where"""
HEAD_EVENTS_MAX = 4096
"""leaves that one tree head marks"""


class VerificationPassed(Fact, subject="verification.all.passed"):
    """The verifier compared everything up to these sequences; nothing is lost and nothing differs.

    `warnings` counts what is unknown or will be repaired."""

    events_seq: Count
    games_seq: Count
    games: Count
    shards: Count
    warnings: Count


class VerificationFailed(Fact, subject="verification.all.failed"):
    """The verifier found `failures` losses or differences; `found` describes the first ones.

    `whole`: it compared everything up to these sequences, otherwise what was new."""

    events_seq: Count
    games_seq: Count
    whole: bool
    failures: Positive
    found: tuple[str, ...]


class TreeHeadRecorded(NodeFact, subject="tree.{node}.head-recorded"):
    """The first `size` messages of `EVENTS` have the Merkle tree hash `root` (RFC 9162), as a
    coordinator on this node computed it.

    `marks` has the first four characters of the URL-safe Base64 of each leaf after the first
    `after`: where they differ from the log, a message was changed, removed or moved. A leaf is
    `<time of storage in nanoseconds> <subject>`, a line feed, and the body; it is empty for a
    sequence without a message."""

    size: Positive
    root: Sha256
    after: Count
    marks: Annotated[
        str, Meta(max_length=HEAD_EVENTS_MAX * LEAF_MARK_CHARS, pattern="^[A-Za-z0-9_-]*$")
    ]

    def __post_init__(self) -> None:
        marked = self.size - self.after
        law(len(self.marks) == marked * LEAF_MARK_CHARS, f"marks are not of {marked} leaves")
