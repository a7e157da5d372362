"""Which voters come and go, as the monitor records it.

A voter that is away for a moment only, as in an election, is not recorded. One that comes and goes
again and again is flapping: that is one fact, and its end another."""

import re
from collections import defaultdict, deque

from ringrift.events.facts import VoterPresenceChanged
from ringrift.runtime.cluster_view import Voters

AWAY_SECONDS = 6.0
"""a follower is behind for a moment in each election"""
FLAPPING_SECONDS, FLAPPING_CHANGES = 600.0, 5
"""as many changes within this time are flapping: away three times"""


class VoterLook:
    """What was recorded of the voters, and what was seen since."""

    def __init__(self) -> None:
        self.away: set[str] = set()
        self.flapping: set[str] = set()
        self._since: dict[str, float] = {}
        """when each voter that is away was first seen so"""
        self._seen_away: set[str] = set()
        self._changes: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=100))

    def take(self, fact: VoterPresenceChanged) -> None:
        """Fold what was recorded."""
        (self.away.discard if fact.current else self.away.add)(fact.voter)
        (self.flapping.add if fact.flapping else self.flapping.discard)(fact.voter)

    def changes(self, voters: Voters, now: float) -> list[VoterPresenceChanged]:
        """What has changed, at a time in seconds. Without a leader no server tells which are
        current."""
        if voters.leader is None:
            return []
        # each name as one word of a subject
        gone = {re.sub(r"[^a-z0-9_-]", "-", name.lower())[:64] for name in voters.away}
        for voter in gone:
            self._since.setdefault(voter, now)
        for voter in self._since.keys() - gone:
            del self._since[voter]
        away = {voter for voter, since in self._since.items() if now - since >= AWAY_SECONDS}
        for voter in away ^ self._seen_away:
            self._changes[voter].append(now)
        self._seen_away = away
        found = []
        for voter in sorted(away | self.away | self.flapping):
            times = self._changes[voter]
            while times and times[0] < now - FLAPPING_SECONDS:
                times.popleft()
            flapping, current = len(times) >= FLAPPING_CHANGES, voter not in away
            changed = current == (voter in self.away)
            if flapping != (voter in self.flapping) or (changed and not flapping):
                count = max(len(times), 1)
                fact = VoterPresenceChanged(
                    voter=voter, current=current, changes=count, flapping=flapping
                )
                found.append(fact)
        return found
