"""The matrix of `schemas/` is true: what deciders read and write is what the registry says of their
consumers."""

from __future__ import annotations

import pytest

from ringrift.consumers import feedback
from ringrift.deciders.loop import evaluation, promotion, retention, selfplay, training
from ringrift.deciders.loop import rating as elo
from ringrift.events import REGISTRY, type_of
from ringrift.events.facts import LeaseAcquired, NodePressureChanged

RUNNER = {LeaseAcquired, NodePressureChanged}
"""read by the runner itself, whatever it runs"""

ROLES = {
    "planner": (selfplay.DECIDER, training.DECIDER, retention.DECIDER),
    "evaluation": (evaluation.DECIDER,),  # runs in the planner, listed by its own name
    "promoter": (promotion.DECIDER,),
    "rater": (elo.DECIDER,),
    "feedback": feedback.DECIDERS,
}


@pytest.mark.parametrize("role", ROLES)
def test_what_is_read_is_listed(role: str) -> None:
    read = {kind for decider in ROLES[role] for kind in decider.reads}
    missing = [kind.__name__ for kind in read if role not in type_of(kind).consumers]
    assert not missing
    listed = {kind.fact_type for kind in REGISTRY.values() if role in kind.consumers} - RUNNER
    written = {kind for decider in ROLES[role] for kind in decider.writes}
    assert not [kind.__name__ for kind in listed - read - written]


@pytest.mark.parametrize("role", ROLES)
def test_what_is_written_is_listed(role: str) -> None:
    written = {kind for decider in ROLES[role] for kind in decider.writes}
    assert not [kind.__name__ for kind in written if role not in type_of(kind).emitters]


def test_each_decision_has_one_decider() -> None:
    written = [
        kind for deciders in ROLES.values() for decider in deciders for kind in decider.writes
    ]
    assert len(written) == len(set(written))


def test_an_event_type_is_added_on_purpose() -> None:
    """Requirement G15.02 wants about 60 (the predecessor had 280): so many tell of playing,
    learning and deciding. The others tell of the machines under them, and an operator asked for
    each: nodes, processes, dead letters, breakers, the quorum, streams made anew."""
    machines = [
        kind
        for kind in REGISTRY.values()
        if kind.context in {"consumer", "dead", "node", "breaker", "quorum", "stream"}
    ]
    assert (len(REGISTRY) - len(machines), len(machines)) == (56, 18)
