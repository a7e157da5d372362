"""Tickets follow from the request that asked for them."""

from __future__ import annotations

import pytest

from ringrift.events import UndecodableEvent
from ringrift.events.facts import EvaluationRequested, Seat, SelfplayPlanned, TrainingRequested
from ringrift.events.participants import seat
from ringrift.events.tickets import (
    EvaluationTicket,
    SelfplayTicket,
    TrainingTicket,
    decode_ticket,
    encode_ticket,
    subject_of,
    tickets_of,
)

PLAN = SelfplayPlanned(
    config="hex8_2p",
    generation=1,
    games=130,
    games_per_ticket=64,
    simulations=8,
    model=None,
    seed=1,
    settings_version=1,
)
TRAINING = TrainingRequested(
    config="hex8_3p",
    generation=1,
    architecture="v2",
    parent=None,
    shards=(),
    samples=1,
    seed=1,
    reason="r",
    settings_version=1,
)
_SEAT = Seat(participant="p", harness="random")
EVALUATION = EvaluationRequested(
    config="square8_2p",
    generation=1,
    candidate=_SEAT,
    opponent=seat("heuristic"),
    purpose="random",
    round=0,
    starts=1,
    seed=1,
    settings_version=1,
)


def test_the_tickets_of_a_plan_cover_each_game_once() -> None:
    tickets = tickets_of(PLAN, "EVENTS/12")
    assert all(
        isinstance(ticket, SelfplayTicket) and ticket.cause == "EVENTS/12" for ticket in tickets
    )
    games = [
        n for ticket in tickets for n in range(ticket.first_game, ticket.first_game + ticket.games)
    ]
    assert games == list(range(130))
    assert len({ticket.ticket for ticket in tickets}) == 3
    assert tickets == tickets_of(PLAN, "EVENTS/12")
    assert not {t.ticket for t in tickets} & {t.ticket for t in tickets_of(PLAN, "EVENTS/13")}


@pytest.mark.parametrize(
    ("request_", "kind", "subject"),
    [
        (PLAN, SelfplayTicket, "ringrift.work.selfplay.5.hex8_2p"),
        (TRAINING, TrainingTicket, "ringrift.work.training.5.hex8_3p"),
        (EVALUATION, EvaluationTicket, "ringrift.work.evaluation.5.square8_2p"),
    ],
)
def test_a_ticket_decodes_to_itself(request_, kind, subject) -> None:
    ticket = tickets_of(request_, "EVENTS/3")[0]
    assert isinstance(ticket, kind)
    assert subject_of(ticket) == subject
    assert subject_of(ticket, priority=1) == subject.replace(".5.", ".1.")
    assert decode_ticket(encode_ticket(ticket)) == ticket


BROKEN = [
    b"",
    b"\xff",
    b"{}",
    b'{"type":"cooking"}',
    b'{"type":"training","ticket":"t"}',
    b'{"type":"training","ticket":"\xff"}',
]


@pytest.mark.parametrize("body", [*BROKEN, b'{"x":' + b"[" * 100_000])
def test_bytes_that_are_not_a_ticket_are_refused(body: bytes) -> None:
    with pytest.raises(UndecodableEvent, match="ticket"):
        decode_ticket(body)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"games":64', b'"games":65'),
        (b'"games":64', b'"games":1000000000'),
        (b'"games":64', b'"games":0'),
        (b'"games_per_ticket":64', b'"games_per_ticket":1000000000'),
        (b'"simulations":8', b'"simulations":1000000001'),
        (b'"first_game":0', b'"first_game":67'),
        (b'"first_game":0', b'"first_game":-1'),
        (b'"cause":"EVENTS/3"', b'"cause":"EVENTS/3\\n"'),
        (b'"ticket":"selfplay-', b'"ticket":"self play-'),
    ],
)
def test_a_ticket_that_asks_for_too_much_is_refused(old: bytes, new: bytes) -> None:
    body = encode_ticket(tickets_of(PLAN, "EVENTS/3")[0])
    assert old in body
    with pytest.raises(UndecodableEvent, match="ticket"):
        decode_ticket(body.replace(old, new))
