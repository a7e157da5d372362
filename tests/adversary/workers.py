"""What correct workers, exporters and monitors would answer, so that states become deep."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ringrift.events import Fact, facts as f
from ringrift.events.tickets import tickets_of

from .values import ARCHITECTURES, CONFIGS, NODES, PROCESSES, Values

TICKETS_ANSWERED_MAX = 4
SELFPLAY_TICKETS_MAX = 1000
"""a larger plan is not answered"""
Answer = tuple[Fact, str | None]
"""a fact and its cause"""


class Workers:
    """Answers requests, and writes what happens without a request."""

    def __init__(self, values: Values) -> None:
        self.values, self.random = values, values.random
        self._shards: dict[str, int] = {}

    def answers(self, fact: Fact, position: str) -> Iterator[Answer]:
        """The facts that follow from a decision."""
        match fact:
            case f.SelfplayPlanned():
                if fact.games // fact.games_per_ticket < SELFPLAY_TICKETS_MAX:
                    yield from self._play(fact, position)
            case f.TrainingRequested():
                yield from self._train(fact, position)
            case f.EvaluationRequested():
                yield from self._evaluate(fact, position)
            case f.ReanalysisRequested():
                yield self._reanalysed(fact, position)
            case f.DeadLetterRetryRequested():
                names = ("consumer", "stream", "seq", "dead_seq")
                letter = {name: getattr(fact, name) for name in names}
                failed = f.DeadLetterRetryFailed(**letter, reason="still")
                done = f.DeadLetterResolved(**letter, outcome="decodes", why="w")
                yield self.random.choice((failed, done)), position

    def happenings(self) -> Iterator[Fact]:
        """One thing that happens without a request."""
        random, node = self.random, self.random.choice(NODES)
        process, instance = random.choice(PROCESSES), random.choice(("i1", "i2"))
        match random.randrange(9):
            case 0:
                yield f.ConsumerStarted(node=node, consumer=process, instance=instance, version="1")
            case 1:
                yield f.ConsumerStopped(node=node, consumer=process, instance=instance, why="w")
            case 2 | 3:
                present, left = random.random() < 0.6, random.random() < 0.3
                yield f.NodePresenceChanged(
                    node=node, present=present, left=left, silent_seconds=12.0, processes=2
                )
            case 4:
                yield f.NodeRegistered(
                    node=node,
                    provider="p",
                    accelerator="a",
                    vram_gib=24.0,
                    cost_per_hour=random.choice((0.3, 1.0, 2.0)),
                    speed=random.choice((0.5, 1.0)),
                    ephemeral=random.random() < 0.5,
                )
            case 5:
                tier = random.choice(("normal", "warning", "critical"))
                yield f.NodePressureChanged(
                    node=node, resource="ram", consumer="", tier=tier, previous="normal", used=0.8
                )
            case 6:
                yield f.DeadLetterStored(
                    consumer=process,
                    stream="EVENTS",
                    seq=random.randrange(1, 20),
                    dead_seq=random.randrange(1, 20),
                    reason="r",
                    deliveries=1,
                )
            case 7:
                kind = random.choice((f.PipelinePaused, f.PipelineResumed))
                yield kind(scope=random.choice(("all", *CONFIGS)), kind="selfplay", why="w")
            case 8:
                first = random.randrange(1, 50)
                yield f.GamesRetracted(
                    config=random.choice(CONFIGS),
                    first_seq=first,
                    last_seq=first + 10,
                    count=3,
                    unscored_tickets=(self.values.recent(self.values.tickets),),
                    why="w",
                )

    def _play(self, plan: f.SelfplayPlanned, position: str) -> Iterator[Answer]:
        for ticket in tickets_of(plan, position)[:TICKETS_ANSWERED_MAX]:
            self.values.tickets.append(ticket.ticket)
            games = ticket.games if self.random.random() < 0.9 else 0
            finished = f.SelfplayFinished(
                config=plan.config,
                generation=plan.generation,
                ticket=ticket.ticket,
                games=games,
                lost=ticket.games - games,
                plies=60 * games,
                play_seconds=self.random.uniform(1.0, 900.0),
                spare=plan.spare,
                node=self.random.choice(NODES),
            )
            yield finished, position
            if games:
                yield self._exported(plan.config, games), "GAMES/1"

    def _exported(self, config: str, games: int) -> f.ShardExported:
        index = self._shards.get(config, 0)
        self._shards[config] = index + 1
        seats = int(config[-2])
        won = [games // seats] * seats
        summary = f.ShardSummary(
            games=games,
            wins=tuple(won),
            plies=60 * games,
            plies_squared=4000 * games,
            openings=max(games // 2, 1),
            participants=("baseline:heuristic:s32",),
            decisions=50 * games,
            agreed=30 * games,
        )
        return f.ShardExported(
            config=config,
            encoder="e",
            index=index,
            first_seq=100_000 * index + 1,
            last_seq=100_000 * (index + 1),
            games=games,
            samples=self.random.choice((50, 900, 6000)) * games,
            rejected=0,
            digest=_digest("shard", config, index),
            size_bytes=1000,
            summary=summary if self.random.random() < 0.9 else None,
        )

    def _train(self, request: f.TrainingRequested, position: str) -> Iterator[Answer]:
        (ticket,) = tickets_of(request, position)
        name, generation = ticket.ticket, request.generation
        self.values.tickets.append(name)
        where = {"config": request.config, "ticket": name, "generation": generation}
        node = self.random.choice(NODES)
        if self.random.random() < 0.2:
            yield f.TrainingFailed(**where, node=node, reason="r"), position
            return
        yield f.TrainingStarted(**where, node=node, device="cpu", resumed_step=0), position
        loss = self.random.choice((2.0, 2.1, 1.9, 9.0, float(3 / generation)))
        model = _digest("model", request.config, position)
        finished = f.TrainingFinished(
            **where,
            model=model,
            steps=100,
            samples=request.samples,
            loss=loss,
            policy_loss=loss / 2,
            value_loss=loss / 2,
            validation_loss=self.random.choice((None, loss, 2 * loss)),
            train_seconds=self.random.uniform(1.0, 4000.0),
            node=node,
        )
        registered = f.ModelRegistered(
            config=request.config,
            model=model,
            generation=generation,
            architecture=request.architecture or self.random.choice(ARCHITECTURES),
            encoder="e",
            parameters=1000,
            parents=(request.parent,) if request.parent else (),
            ticket=name,
        )
        both: list[Fact] = [finished, registered]
        self.random.shuffle(both)
        for fact in both:
            yield fact, position

    def _evaluate(self, request: f.EvaluationRequested, position: str) -> Iterator[Answer]:
        (ticket,) = tickets_of(request, position)
        self.values.tickets.append(ticket.ticket)
        names = [request.candidate.participant, request.opponent.participant]
        self.values.participants += names
        node, seats = self.random.choice(NODES), int(request.config[-2])
        where = {"config": request.config, "ticket": ticket.ticket, "purpose": request.purpose}
        model = request.candidate.model
        if self.random.random() < 0.1:
            failed = f.EvaluationFailed(
                **where, node=node, generation=request.generation, candidate_model=model, reason="r"
            )
            yield failed, position
            return
        starts = min(request.starts, 500)
        won = self.random.choice((0, starts, starts // 2, round(0.6 * starts)))
        order = (names[0], *names[1:] * (seats - 1))
        ranks = tuple(range(1, seats + 1))
        orders = [(order, won), (order[::-1], starts - won)]
        rankings = tuple(
            f.Ranking(order=order, ranks=ranks, count=seats * count)
            for order, count in orders
            if count
        )
        scored = f.EvaluationScored(
            **where,
            generation=request.generation,
            candidate=names[0],
            candidate_model=model,
            opponent=names[1],
            round=request.round,
            games=seats * starts,
            wins=float(seats * won),
            scores=tuple((s, n) for s, n in ((0.0, starts - won), (1.0, won)) if n),
            rankings=rankings,
            play_seconds=self.random.uniform(1.0, 900.0),
            node=node,
        )
        yield scored, position

    def _reanalysed(self, request: f.ReanalysisRequested, position: str) -> Answer:
        (ticket,) = tickets_of(request, position)
        finished = f.ReanalysisFinished(
            config=request.config,
            ticket=ticket.ticket,
            node=self.random.choice(NODES),
            model=request.model,
            first_seq=request.first_seq,
            last_seq=request.last_seq,
            games=request.games,
            search_seconds=1.0,
        )
        return finished, position


def _digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
