"""Verification of the log."""

from ringrift.events.facts.vocabulary import Count, Fact, Positive


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
