"""Tickets: the commands on `WORK`. Each follows from a request, the fact that its `cause` names."""

from itertools import accumulate
from typing import cast, get_args

import msgspec
import msgspec.inspect as mi
from msgspec import Struct
from msgspec.structs import replace

from ringrift.events import facts as f
from ringrift.events.errors import UndecodableEvent, UnknownEvent
from ringrift.events.patterns import in_words
from ringrift.events.unknown import PROGRAM, known

Request = f.SelfplayPlanned | f.TrainingRequested | f.EvaluationRequested | f.ReanalysisRequested
REQUESTS = (f.SelfplayPlanned, f.TrainingRequested, f.EvaluationRequested, f.ReanalysisRequested)
Outcome = f.SelfplayFinished | f.TrainingEnded | f.EvaluationEnded | f.ReanalysisFinished
OUTCOMES: tuple[type[Outcome], ...] = get_args(Outcome)
"""facts that end the ticket they name"""
URGENT, USUAL, SPARE = PRIORITIES = (1, 5, 9)
"""lower first: escalated tickets, tickets that a generation waits for, spare games and matches"""


class TicketBase(Struct, frozen=True, kw_only=True):
    """Id of a ticket, and the position of its request."""

    ticket: f.Name
    cause: f.Position


class SelfplayTicket(TicketBase, frozen=True, kw_only=True, tag="selfplay"):
    """Play `games` games of the plan, from number `first_game` of the generation on."""

    plan: f.SelfplayPlanned
    first_game: f.Count
    games: f.Positive

    def __post_init__(self) -> None:
        f.law(self.games <= self.plan.games_per_ticket, "more games than the plan has per ticket")
        f.law(self.first_game + self.games <= self.plan.games, "more games than the plan has")


class TrainingTicket(TicketBase, frozen=True, kw_only=True, tag="training"):
    """Run the requested training."""

    request: f.TrainingRequested


class EvaluationTicket(TicketBase, frozen=True, kw_only=True, tag="evaluation"):
    """Play the requested evaluation."""

    request: f.EvaluationRequested


class ReanalysisTicket(TicketBase, frozen=True, kw_only=True, tag="reanalysis"):
    """Search the requested games again; self-play workers do it."""

    request: f.ReanalysisRequested


Ticket = SelfplayTicket | TrainingTicket | EvaluationTicket | ReanalysisTicket
_DECODER: msgspec.json.Decoder[Ticket] = msgspec.json.Decoder(Ticket)
_SHAPE = mi.type_info(Ticket)
_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def tickets_of(event: Request, position: str) -> list[Ticket]:
    """The tickets of the request at log `position`, none of a training within another one; their
    ids follow from it."""
    token = position.replace("/", "-").lower()
    match event:
        case f.TrainingRequested(within=str()):
            return []  # that of another config learns from its shards
        case f.TrainingRequested():
            return [TrainingTicket(ticket=f"training-{token}", cause=position, request=event)]
        case f.EvaluationRequested():
            return [EvaluationTicket(ticket=f"evaluation-{token}", cause=position, request=event)]
        case f.ReanalysisRequested():
            return [ReanalysisTicket(ticket=f"reanalysis-{token}", cause=position, request=event)]
    step = event.games_per_ticket
    sizes = event.tickets or [
        min(step, event.games - first) for first in range(0, event.games, step)
    ]
    return [
        SelfplayTicket(
            ticket=f"selfplay-{token}-{number}",
            cause=position,
            plan=event,
            first_game=end - games,
            games=games,
        )
        for number, (games, end) in enumerate(zip(sizes, accumulate(sizes), strict=True))
    ]


def subject_of(ticket: Ticket, priority: int | None = None) -> str:
    """`ringrift.work.<kind>.<priority>.<config>`, by default with the usual priority."""
    if priority is None:
        priority = priority_of(ticket)
    return f"ringrift.work.{kind_of(ticket)}.{priority}.{config_of(ticket)}"


def priority_of(ticket: Ticket) -> int:
    """Priority of a ticket until it is escalated."""
    if isinstance(ticket, SelfplayTicket) and ticket.plan.spare and not ticket.plan.owed:
        return SPARE
    if isinstance(ticket, EvaluationTicket) and ticket.request.spare:
        return SPARE
    return USUAL


def import_ticket(position: str) -> str:
    """The ticket of the games of an import; `position` is that of its `ImportStarted`."""
    return f"import-{position.replace('/', '-').lower()}"


def request_of(ticket: str) -> str:
    """The part of an id that the tickets of one request share: kind and position, such as
    `selfplay-events-12`."""
    return "-".join(ticket.split("-")[:3])


def kind_of(ticket: Ticket) -> f.WorkKind:
    """Kind of worker that takes the ticket: selfplay, training or evaluation."""
    if isinstance(ticket, ReanalysisTicket):
        return "selfplay"
    return cast(f.WorkKind, type(ticket).__struct_config__.tag)


def config_of(ticket: Ticket) -> str:
    """Config of the requested work."""
    return (ticket.plan if isinstance(ticket, SelfplayTicket) else ticket.request).config


def of_each_config(ticket: Ticket, fact: f.Fact) -> list[f.Fact]:
    """A fact about a ticket for each config that the ticket is of: those that get a generation of a
    training, its own first."""
    if not isinstance(ticket, TrainingTicket):
        return [fact]
    changes = ({"config": name, "generation": n} for name, n in ticket.request.generations.items())
    return [replace(fact, **change) for change in changes]


def encode_ticket(ticket: Ticket) -> bytes:
    """The ticket as JSON."""
    return msgspec.json.encode(ticket)


def decode_ticket(body: bytes) -> Ticket:
    """The ticket in `body`. Raises UndecodableEvent if it is not a ticket, UnknownEvent if it has
    fields that only a newer program knows: it must not be worked on as if they were not there."""
    try:
        return _DECODER.decode(body)
    except _DAMAGE as error:
        damage = UndecodableEvent(f"ticket: {in_words(error)}")
    try:
        data, unknown = known(msgspec.json.decode(body), _SHAPE)
        msgspec.convert(data, Ticket)
    except _DAMAGE as error:
        raise damage from error
    raise UnknownEvent(f"ticket has fields that {PROGRAM} does not know: {', '.join(unknown)}")
