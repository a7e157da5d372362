"""Voters that come and go, as the monitor records it."""

from __future__ import annotations

from ringrift.consumers.voters import AWAY_SECONDS, FLAPPING_SECONDS, VoterLook
from ringrift.events.facts import VoterPresenceChanged
from ringrift.runtime.cluster_view import Voters


def seen(*away: str, leader: str | None = "n1") -> Voters:
    return Voters(leader=leader, voters=3, alive=3 - len(away), away=away)


def look(known: VoterLook, voters: Voters, now: float) -> list[tuple[str, bool, bool]]:
    """What is recorded, as a monitor folds it."""
    found = known.changes(voters, now)
    for fact in found:
        known.take(fact)
    return [(fact.voter, fact.current, fact.flapping) for fact in found]


def test_a_voter_that_stays_away_is_recorded_and_its_return_too() -> None:
    known = VoterLook()
    assert look(known, seen("n2"), 0.0) == []
    assert look(known, seen("n2", leader=None), AWAY_SECONDS) == [], "an election is on"
    assert look(known, seen("n2"), AWAY_SECONDS) == [("n2", False, False)]
    assert look(known, seen("n2"), 2 * AWAY_SECONDS) == []
    assert look(known, seen(), 3 * AWAY_SECONDS) == [("n2", True, False)]


def test_a_voter_that_was_behind_for_a_moment_is_not_recorded() -> None:
    known = VoterLook()
    look(known, seen("n2"), 0.0)
    assert look(known, seen(), 2.0) == []
    assert look(known, seen("n2"), AWAY_SECONDS) == []


def test_a_voter_that_comes_and_goes_is_flapping_until_it_stays() -> None:
    known, now = VoterLook(), 0.0
    recorded = []
    for _ in range(6):
        for voters in (seen("n2"), seen("n2"), seen()):
            recorded += look(known, voters, now)
            now += AWAY_SECONDS
    away, back, flapping = ("n2", False, False), ("n2", True, False), ("n2", False, True)
    assert recorded == [away, back, away, back, flapping]
    assert look(known, seen(), now + FLAPPING_SECONDS) == [back]


def test_a_new_monitor_continues_from_the_facts() -> None:
    known = VoterLook()
    known.take(VoterPresenceChanged(voter="n3", current=False, changes=1))
    assert look(known, seen(), 0.0) == [("n3", True, False)]
