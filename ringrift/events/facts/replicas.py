"""Copies of streams on voters."""

from ringrift.events.facts.vocabulary import Count, Fact, Positive, Text, Token


class ReplicaDamaged(Fact, subject="replica.{voter}.damaged"):
    """The copy of `stream` on `voter` holds `messages` where another holds `whole`, both up to
    sequence `last`: the disk changed bytes that were written."""

    voter: Token
    stream: Text
    messages: Count
    whole: Positive
    last: Positive


class ReplicaRepaired(Fact, subject="replica.{voter}.repaired"):
    """The copy of `stream` on `voter` holds what the others hold again; `replaced` if it was given
    up and made again from a whole one."""

    voter: Token
    stream: Text
    replaced: bool
