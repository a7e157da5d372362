"""A small loop whose log is sound: real games, scores that are counted from them, real shards."""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec.structs import replace

from ringrift.consumers.shards.building import make_shard
from ringrift.events import facts as f
from ringrift.events.settings import EvaluationSettings
from ringrift.events.tickets import EvaluationTicket, tickets_of
from ringrift.learning.matches import score_of, starts_of
from ringrift.learning.openings import NO_OPENING
from ringrift.learning.play import Host
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.topology import GAMES, MODEL_BUCKET, SHARD_BUCKET
from ringrift.nets.encoding import ENCODER
from support import loop_facts
from support.games import recorded_game
from support.turning_loop import SETTINGS, TurningLoop

STARTS = 2
ONE_GENERATION = replace(
    SETTINGS,
    generations=1,
    evaluation=EvaluationSettings(baseline_starts=STARTS, starts_per_ticket=STARTS),
    training=replace(SETTINGS.training, min_samples=2),
)


class RealLoop(TurningLoop):
    """A loop of one generation; `problems` of its log are none."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    async def start(self) -> RealLoop:
        """Write the settings and let the loop turn to its end."""
        await self.put(f.SettingsChanged(version=1, settings=ONE_GENERATION, why="test"))
        await self.turn()
        return self

    def game(self, name: str, seats: tuple[f.Seat, ...], **changes: Any) -> f.GameCompleted:
        """See `TurningLoop.game`."""
        self._number += 1
        return replace(_random_game(self._number), game=name, seats=seats, **changes)

    async def _export(self) -> None:
        """Export every two games of `GAMES` as a shard."""
        while await self.log.tail(GAMES) >= 2 * self._shards + 2:
            first = 2 * self._shards + 1
            found = read.facts(self.log, f.GameCompleted, after=first - 1, until=first + 1)
            data, counts = make_shard(loop_facts.CONFIG, [game async for game, _ in found])
            shard = replace(
                loop_facts.exported(self._shards, 2, counts.samples),
                encoder=ENCODER,
                first_seq=first,
                last_seq=first + 1,
                digest=await Blobs(self.log).put(SHARD_BUCKET, data),
                size_bytes=len(data),
            )
            self._shards += 1
            await self.put(shard, f"{GAMES}/{first + 1}", "e")

    async def _train(self, request: f.TrainingRequested, position: str) -> None:
        model = await Blobs(self.log).put(MODEL_BUCKET, position.encode())
        finished = loop_facts.finished(model, request.generation)
        await self.put(replace(finished, samples=request.samples), position)
        await self.put(loop_facts.registered(model, request.generation), position)

    async def _evaluate(self, request: f.EvaluationRequested, position: str) -> None:
        (ticket,) = tickets_of(request, position)
        assert isinstance(ticket, EvaluationTicket)
        games: list[tuple[f.GameCompleted, int]] = []
        for start in starts_of(ticket, [NO_OPENING] * request.starts):
            seats = tuple((request.candidate, request.opponent)[who] for who in start.players)
            played = self.game(start.game, seats, ticket=ticket.ticket, origin="evaluation")
            games.append((played, start.players.index(0)))
            await self.put(played, position, played.game)
        await self.put(score_of(ticket, Host(node="n2"), games), position)
        await self._export()


@cache
def _random_game(number: int) -> f.GameCompleted:
    return recorded_game(number)
