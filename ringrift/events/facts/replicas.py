"""Copies of streams on voters, and the disks they are on."""

from ringrift.events.facts.nodes import Tier
from ringrift.events.facts.vocabulary import Count, Fact, Positive, Share, Text, Token


class ReplicaDamaged(Fact, subject="replica.{voter}.damaged"):
    """The copy of `stream` on `voter` holds `messages` where another holds `whole`, both up to
    sequence `last`: the disk changed bytes that were written. Or it is `idle`: the server runs and
    takes no part in the stream."""

    voter: Token
    stream: Text
    messages: Count
    whole: Positive
    last: Positive
    idle: bool = False

    @property
    def advice(self) -> str:
        """What is wrong and what to do."""
        if self.idle:
            return (
                f"takes no part in {self.stream}: look at that disk, and restart the server, after "
                "`ringrift voter check`"
            )
        return (
            f"holds {self.messages:,} of {self.whole:,} messages of {self.stream}: look at that "
            "disk; it is repaired from a whole copy, or by `ringrift cluster repair`"
        )


class ReplicaRepaired(Fact, subject="replica.{voter}.repaired"):
    """The copy of `stream` on `voter` holds what the others hold again; `replaced` if it was given
    up and made again from a whole one."""

    voter: Token
    stream: Text
    replaced: bool


class VoterDiskChanged(Fact, subject="voter.{voter}.disk-changed"):
    """The disk of `voter` entered another tier; `used` is the share in use, 0..1. From `warning` on
    no worker takes a ticket. `used` is 0 for a voter that left the cluster."""

    voter: Token
    tier: Tier
    previous: Tier
    used: Share


class ClusterFounded(Fact, subject="voter.all.cluster-founded", for_people=True):
    """The log is that of the cluster with this identity, which `ringrift cluster init` made; a
    later one if it was copied to another cluster."""

    cluster: Token
