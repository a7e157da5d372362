"""Declared streams and consumers."""

from __future__ import annotations

from itertools import combinations, product

from ringrift.events import REGISTRY
from ringrift.events.tickets import PRIORITIES
from ringrift.log.entry import matches
from ringrift.log.topology import CONSUMERS, STREAMS, WORK_KINDS, consumer_of


def test_every_event_is_stored_in_exactly_one_stream() -> None:
    for kind in REGISTRY.values():
        subject = kind.subject_filter.replace("*", "scope")
        taking = [
            stream.name
            for stream in STREAMS
            if any(matches(each, subject) for each in stream.subjects)
        ]
        assert taking == [kind.stream], subject


def test_no_two_streams_share_a_subject() -> None:
    subjects = [
        (stream.name, subject.removesuffix(">"))
        for stream in STREAMS
        for subject in stream.subjects
    ]
    for (one, left), (other, right) in combinations(subjects, 2):
        assert not left.startswith(right), (one, other)
        assert not right.startswith(left), (one, other)


def test_every_kind_and_priority_of_tickets_has_exactly_one_consumer() -> None:
    assert (
        len({consumer.name for consumer in CONSUMERS})
        == len(CONSUMERS)
        == len(WORK_KINDS) * len(PRIORITIES)
    )
    for kind, priority in product(WORK_KINDS, PRIORITIES):
        subject = f"ringrift.work.{kind}.{priority}.hex8_2p"
        taking = [
            consumer.name
            for consumer in CONSUMERS
            if any(matches(each, subject) for each in consumer.filter_subjects)
        ]
        assert taking == [consumer_of(kind, priority)]
