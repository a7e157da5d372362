"""Tickets: the commands on `WORK`. They are never history; the fact that asked for the work is, and
`cause` names it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from ringrift.events.errors import UndecodableEvent
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    ReanalysisFinished,
    ReanalysisRequested,
    SelfplayFinished,
    SelfplayPlanned,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingTimedOut,
)


class SelfplayTicket(Struct, frozen=True, kw_only=True, tag="selfplay"):
    """Play `games` games of the plan, the first of them number `first_game` of its generation."""

    ticket: str
    cause: str
    plan: SelfplayPlanned
    first_game: int
    games: int


class TrainingTicket(Struct, frozen=True, kw_only=True, tag="training"):
    """Train what the request asks for."""

    ticket: str
    cause: str
    request: TrainingRequested


class EvaluationTicket(Struct, frozen=True, kw_only=True, tag="evaluation"):
    """Play the match the request asks for."""

    ticket: str
    cause: str
    request: EvaluationRequested


class ReanalysisTicket(Struct, frozen=True, kw_only=True, tag="reanalysis"):
    """Search the games the request names again. Workers of self-play do it: it needs what they
    have."""

    ticket: str
    cause: str
    request: ReanalysisRequested


Ticket = SelfplayTicket | TrainingTicket | EvaluationTicket | ReanalysisTicket
Request = SelfplayPlanned | TrainingRequested | EvaluationRequested | ReanalysisRequested
REQUESTS = (SelfplayPlanned, TrainingRequested, EvaluationRequested, ReanalysisRequested)
OUTCOMES = (
    SelfplayFinished,
    TrainingFinished,
    TrainingFailed,
    TrainingTimedOut,
    EvaluationScored,
    EvaluationFailed,
    ReanalysisFinished,
)
"""facts that end a ticket, which they name"""

_DECODER: msgspec.json.Decoder[Ticket] = msgspec.json.Decoder(Ticket)


def tickets_of(event: Request, position: str) -> list[Ticket]:
    """The tickets that the request at log `position` asks for; the same request gives the same ids
    for ever."""
    match event:
        case TrainingRequested():
            return [
                TrainingTicket(ticket=f"training-{_token(position)}", cause=position, request=event)
            ]
        case EvaluationRequested():
            return [
                EvaluationTicket(
                    ticket=f"evaluation-{_token(position)}", cause=position, request=event
                )
            ]
        case ReanalysisRequested():
            return [
                ReanalysisTicket(
                    ticket=f"reanalysis-{_token(position)}", cause=position, request=event
                )
            ]
    step = event.games_per_ticket
    return [
        SelfplayTicket(
            ticket=f"selfplay-{_token(position)}-{first // step}",
            cause=position,
            plan=event,
            first_game=first,
            games=min(step, event.games - first),
        )
        for first in range(0, event.games, step)
    ]


URGENT, USUAL, SPARE = 1, 5, 9
PRIORITIES = (URGENT, USUAL, SPARE)
"""a lower number goes first: what has waited for hours, what a decision waits for, what is played
because there is room"""


def subject_of(ticket: Ticket, priority: int | None = None) -> str:
    """`ringrift.work.<kind>.<priority>.<config>`; by default its usual priority."""
    return f"ringrift.work.{kind_of(ticket)}.{priority_of(ticket) if priority is None else priority}.{config_of(ticket)}"


def priority_of(ticket: Ticket) -> int:
    """The priority that a ticket has until it ages."""
    return SPARE if isinstance(ticket, SelfplayTicket) and ticket.plan.spare else USUAL


def request_of(ticket: str) -> str:
    """The part of a ticket's id that all tickets of its request have: kind and position, such as
    `selfplay-events-12`."""
    return "-".join(ticket.split("-")[:3])


def kind_of(ticket: Ticket) -> str:
    """Who is to do it: workers of selfplay, training or evaluation."""
    return (
        "selfplay"
        if isinstance(ticket, ReanalysisTicket)
        else str(type(ticket).__struct_config__.tag)
    )


def config_of(ticket: Ticket) -> str:
    """The config that the work is for."""
    return (ticket.plan if isinstance(ticket, SelfplayTicket) else ticket.request).config


def encode_ticket(ticket: Ticket) -> bytes:
    """The bytes of the ticket on `WORK`, JSON."""
    return msgspec.json.encode(ticket)


def decode_ticket(body: bytes) -> Ticket:
    """The ticket in `body`. Raises UndecodableEvent if it is none."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableEvent(f"ticket: {error}") from error


def _token(position: str) -> str:
    return position.replace("/", "-").lower()
