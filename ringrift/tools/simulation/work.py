"""Work on the nodes of a simulated fleet: a ticket that a node takes ends after some time, with its
facts or as a failure that is retried."""

from ringrift.events import Fact
from ringrift.events.facts import (
    MEASURING,
    DeadLetterStored,
    ModelRegistered,
    TrainingCheckpointed,
    TrainingFinished,
    TrainingStarted,
)
from ringrift.events.participants import network_seat
from ringrift.events.tickets import (
    EvaluationTicket,
    SelfplayTicket,
    Ticket,
    TrainingTicket,
    config_of,
    kind_of,
    of_each_config,
)
from ringrift.tools.simulation import liars, workload
from ringrift.tools.simulation.fleet import Fleet
from ringrift.tools.simulation.nodes import ORDER, SimulatedNode

CHECKPOINT_SECONDS = 600.0
FAILURES = {"selfplay": 0.003, "training": 0.02, "evaluation": 0.01}
"""Share of tickets that fail for an outside reason, such as a driver or a full disk."""
CONSUMERS = {"selfplay": "selfplay", "training": "trainer", "evaluation": "evaluator"}
"""Process that takes each kind of ticket."""
SLOWED = 2.0
POOR_LOSS = 3.0


def hand_out(fleet: Fleet) -> None:
    """Let every free node look for a ticket."""
    kinds = {kind for kind in ORDER if fleet.queue.waiting(kind)}
    if not kinds:
        return
    free = [node for node in fleet.idle.values() if node.up and not kinds.isdisjoint(node.kinds)]
    fleet.chance("nodes").shuffle(free)  # the order of pulls is arbitrary
    for node in free:
        if (ticket := node.look(fleet.queue)) is not None:
            _start(fleet, node, ticket)


def kept_back(fleet: Fleet) -> dict[str, int]:
    """The tickets by kind that wait for their turn though a node is free for them."""
    free = [node for node in fleet.idle.values() if node.rented]
    kinds = {kind for node in free for kind in node.kinds}
    order, found = fleet.queue.order, dict[str, int]()
    for name, ticket in order.outstanding.items() if kinds else ():
        kind = kind_of(ticket)
        if kind in kinds and name not in fleet.queue.stored and not order.is_paused(ticket):
            found[kind] = found.get(kind, 0) + 1
    return found


def _start(fleet: Fleet, node: SimulatedNode, ticket: Ticket) -> None:
    now = fleet.clock.seconds
    node.settle(now)
    node.ticket, node.since, node.turn = ticket, now, node.turn + 1
    del fleet.idle[node.name]
    seconds = workload.varied(node.seconds_for(ticket, fleet.settings), fleet.chance("work"))
    seconds *= SLOWED if fleet.suffers("slow") else 1.0
    fleet.clock.call_later(seconds, _done, fleet, node, node.turn)
    if isinstance(ticket, TrainingTicket):
        started = TrainingStarted(
            config=ticket.request.config,
            generation=ticket.request.generation,
            ticket=ticket.ticket,
            node=node.name,
            device="cuda",
            resumed_step=0,
        )
        delivery = fleet.queue.deliveries[ticket.ticket]
        _write_of_each(fleet, ticket, started, delivery)
        fleet.clock.call_later(CHECKPOINT_SECONDS, _checkpoint, fleet, node, node.turn, 1)
        fleet.clock.call_later(0.0, lambda: None)  # so that the fact is folded at once


def stop(fleet: Fleet, node: SimulatedNode) -> Ticket:
    """Take the ticket from a node; its work on it is lost."""
    assert node.ticket is not None
    node.settle(fleet.clock.seconds)
    node.wasted_seconds += fleet.clock.seconds - node.since
    ticket, node.ticket, node.turn = node.ticket, None, node.turn + 1
    fleet.idle[node.name] = node
    return ticket


def _checkpoint(fleet: Fleet, node: SimulatedNode, turn: int, number: int) -> None:
    ticket = node.ticket
    if node.turn != turn or not isinstance(ticket, TrainingTicket):
        return
    fact = TrainingCheckpointed(
        config=ticket.request.config,
        generation=ticket.request.generation,
        ticket=ticket.ticket,
        step=number,
        steps=number + 1,
        loss=1.0,
        node=node.name,
    )
    _write_of_each(fleet, ticket, fact, f"{turn}.{number}")
    fleet.clock.call_later(CHECKPOINT_SECONDS, _checkpoint, fleet, node, turn, number + 1)


def _done(fleet: Fleet, node: SimulatedNode, turn: int) -> None:
    if node.turn != turn or node.ticket is None:
        return
    ticket, seconds = node.ticket, fleet.clock.seconds - node.since
    if _fails(fleet, ticket):
        _failed(fleet, node, stop(fleet, node))
        return
    node.settle(fleet.clock.seconds)
    node.ticket, node.turn = None, node.turn + 1
    fleet.idle[node.name] = node
    match ticket:
        case SelfplayTicket():
            _played(fleet, node, ticket, seconds)
        case TrainingTicket():
            _trained(fleet, node, ticket, seconds)
        case EvaluationTicket():
            _measured(fleet, node, ticket, seconds)


def _fails(fleet: Fleet, ticket: Ticket) -> bool:
    if isinstance(ticket, TrainingTicket) and fleet.suffers("training", config_of(ticket)):
        return True
    return fleet.chance("work").random() < FAILURES[kind_of(ticket)]


def _failed(fleet: Fleet, node: SimulatedNode, ticket: Ticket) -> None:
    """Retry after a delay, then give up with a fact and a dead letter, as `ringrift.runtime.work`
    does."""
    tries, kind = fleet.queue.deliveries[ticket.ticket], kind_of(ticket)
    waits = fleet.settings.operation.ticket_waits
    if tries <= len(waits):
        fleet.clock.call_later(waits[tries - 1], fleet.queue.give_back, ticket)
        return
    fact = workload.failed(ticket, node.name, "simulated")
    _write_of_each(fleet, ticket, fact, ticket.ticket, source="simulator")
    fleet.books.dead_letters += 1
    number = fleet.queue.sequences[ticket.ticket]
    letter = DeadLetterStored(
        consumer=CONSUMERS[kind],
        stream="WORK",
        seq=number,
        dead_seq=fleet.books.dead_letters,
        reason="simulated",
        deliveries=tries,
        failure_recorded=True,
    )
    fleet.write(letter, cause=f"WORK/{number}", key=letter.consumer, source=letter.consumer)


def _played(fleet: Fleet, node: SimulatedNode, ticket: SelfplayTicket, seconds: float) -> None:
    plan = ticket.plan
    plies = ticket.games * workload.plies_of(plan.config)
    fact = workload.played(ticket, node.name, plies=plies, seconds=seconds)
    if not fleet.write(fact, cause=ticket.cause, key=ticket.ticket, source="selfplay"):
        return  # a ticket that was done twice: its games are stored under the same ids
    fleet.books.games[plan.config] += ticket.games
    reference = node.seconds_for(ticket, fleet.settings) * node.info.speed
    fleet.books.reference_seconds += reference
    participant = "baseline:gumbel:s32"
    if plan.model:
        participant = network_seat(plan.model, plan.simulations).participant
    _export(fleet, plan.config, ticket.games, participant)
    liars.audit(fleet, node, ticket)


def _export(fleet: Fleet, config: str, games: int, participant: str) -> None:
    """Export whole shards of the games there are; their facts follow that of the ticket. Those
    against baselines teach nothing, and make no shard alone."""
    books, size = fleet.books, fleet.settings.shard.games
    books.sequence += games
    books.unexported[config] += games
    while books.unexported[config] >= size and books.unexported[config] > books.untaught[config]:
        untaught = books.untaught.pop(config, 0)
        whole = max(size, untaught + 1)
        books.unexported[config] -= whole
        poor = fleet.suffers("data", config)
        books.learnt[config] += 0 if poor else whole - untaught
        index, books.shards[config] = books.shards[config], books.shards[config] + 1
        last, draw = books.sequence, fleet.chance("shards")
        shard = workload.shard(
            config,
            index,
            whole,
            participant,
            untaught=untaught,
            last_seq=last,
            poor=poor,
            draw=draw,
        )
        fleet.write(shard, cause=f"GAMES/{last}", key=f"{config}.{index}", source="exporter")


def _trained(fleet: Fleet, node: SimulatedNode, ticket: TrainingTicket, seconds: float) -> None:
    request, books, draw = ticket.request, fleet.books, fleet.chance("networks")
    config, model = request.config, workload.digest("model", ticket.ticket)
    loss = workload.training_loss(config, books.learnt[config], draw)
    loss *= POOR_LOSS if fleet.suffers("loss", config) else 1.0
    finished = TrainingFinished(
        config=config,
        generation=request.generation,
        ticket=ticket.ticket,
        model=model,
        steps=1000,
        samples=request.samples,
        loss=loss,
        policy_loss=loss * 0.7,
        value_loss=loss * 0.3,
        validation_loss=None,
        train_seconds=seconds,
        node=node.name,
    )
    if not _write_of_each(fleet, ticket, finished):
        return
    books.strength[model] = workload.strength(config, books.learnt[config], draw)
    incumbent = books.current.get(config)
    if incumbent is not None and fleet.suffers("regression", config):
        books.strength[model] = workload.NARROW_ELO
        books.narrow[model] = incumbent
    registered = ModelRegistered(
        config=config,
        model=model,
        generation=request.generation,
        architecture=request.architecture,
        encoder=workload.ENCODER,
        parameters=1_000_000,
        parents=() if request.parent is None else (request.parent,),
        ticket=ticket.ticket,
        serves={name: n for name, n in request.generations.items() if name != config},
    )
    fleet.write(registered, cause=ticket.cause, source="trainer")


def _write_of_each(
    fleet: Fleet, ticket: Ticket, fact: Fact, key: str | int = 0, source: str = "trainer"
) -> bool:
    """Write a fact for each config of its ticket; whether that of its own is new."""
    own, *others = of_each_config(ticket, fact)
    for number, other in enumerate(others, 1):
        fleet.write(other, cause=ticket.cause, key=f"{key}.{number}", source=source)
    return fleet.write(own, cause=ticket.cause, key=key, source=source)


def _measured(fleet: Fleet, node: SimulatedNode, ticket: EvaluationTicket, seconds: float) -> None:
    request, books = ticket.request, fleet.books
    elo, rival = (
        books.strength[seat.model] if seat.model else workload.BASELINE_ELO.get(seat.harness, 0.0)
        for seat in (request.candidate, request.opponent)
    )
    beaten = books.narrow.get(request.candidate.model or "")
    if beaten is not None and beaten == request.opponent.model:
        elo = rival + workload.NARROW_EDGE_ELO
    score = workload.match(
        request,
        elo,
        rival,
        ticket=ticket.ticket,
        node=node.name,
        seconds=seconds,
        draw=fleet.chance("matches"),
    )
    game_seconds = workload.game_seconds(request.config) * workload.EVALUATION_FACTOR
    books.reference_seconds += score.games * game_seconds
    written = fleet.write(score, cause=ticket.cause, source="evaluator")
    if written and request.purpose not in MEASURING:  # no shard holds the games of others
        if not request.opponent.simulations:
            books.untaught[request.config] += score.games
        _export(fleet, request.config, score.games, request.candidate.participant)
