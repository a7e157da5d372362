"""Processes count as missing only after a while of observation."""

from __future__ import annotations

from ringrift.insight.absences import GAP_SECONDS_MAX, START_SECONDS, Absences


def test_what_has_just_been_started_is_not_missing() -> None:
    absences = Absences(("trainer", "rater"), 0.0)
    for second in range(0, int(START_SECONDS) + 1, 2):
        absences.look(("rater",), float(second))
        assert absences.names == []
    absences.look(("rater",), START_SECONDS + 2)
    assert absences.names == ["trainer"]


def test_the_time_starts_again_with_each_heartbeat() -> None:
    absences = Absences(("trainer",), 0.0)
    for second in range(0, 200, 2):
        absences.look(("trainer",) if second % 30 == 0 else (), float(second))
        assert absences.names == []


def test_time_in_which_nobody_looked_does_not_count() -> None:
    absences = Absences(("trainer",), 0.0)
    for look in range(1, 4):
        absences.look((), look * 1000.0)
        assert absences.names == []
    absences.look((), 4000.0)
    assert 4 * GAP_SECONDS_MAX > START_SECONDS
    assert absences.names == ["trainer"]
