"""A score whose games are not there, do not replay or give another score counts for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import asdict, replace
from support.real_loop import ONE_GENERATION, RealLoop
from support.system import System, running

from ringrift.consumers import verifier
from ringrift.consumers.verification.recount import recounted
from ringrift.consumers.verification.whole import verify
from ringrift.events import Recorded, draft, encode, facts as f
from ringrift.events.settings import TrustSettings
from ringrift.log.topology import GAMES
from ringrift.tools.memory_log import MemoryLog

RECOUNT = replace(
    ONE_GENERATION, evaluation=replace(ONE_GENERATION.evaluation, recount=True), generations=0
)


async def scored(system: System) -> Recorded[f.EvaluationScored]:
    """A sound log in the system, and a score in it."""
    loop = RealLoop()
    loop.log = MemoryLog(system.broker)
    await loop.start()
    return (await system.recorded(f.EvaluationScored))[0]


async def test_a_sound_score_counts(system: System) -> None:
    score, meta = await scored(system)
    found = await recounted(system.process("verifier"), score, meta)
    assert isinstance(found, f.EvaluationRecounted)
    assert all(getattr(found, name) == getattr(score, name) for name in score.__struct_fields__)


CHANGES: dict[str, Callable[[f.EvaluationScored], dict[str, Any]]] = {
    "other wins": lambda score: {"wins": float((int(score.wins) + 1) % (score.games + 1))},
    "other scores": lambda score: {"scores": ((0.75, 2),)},
    "another candidate": lambda score: {"candidate_model": "f" * 64},
    "fewer games": lambda score: {"games": score.games - 1},
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_score_that_its_games_do_not_give_is_refuted(system: System, what: str) -> None:
    score, meta = await scored(system)
    games = [game for game in await system.facts(f.GameCompleted) if game.ticket == score.ticket]
    forged = replace(score, node=games[0].node, **CHANGES[what](score))
    found = await recounted(system.process("verifier"), forged, meta)
    assert isinstance(found, f.EvaluationRefuted)
    assert found.forged
    assert "give other" in found.reason


async def test_games_of_another_node_convict_nobody(system: System) -> None:
    score, meta = await scored(system)
    forged = replace(score, node="victim", wins=float((int(score.wins) + 1) % (score.games + 1)))
    found = await recounted(system.process("verifier"), forged, meta)
    assert isinstance(found, f.EvaluationRefuted)
    assert not found.forged


async def test_a_score_without_a_request_is_refuted(system: System) -> None:
    score, meta = await scored(system)
    other = replace(score, ticket="evaluation-events-999")
    found = await recounted(system.process("verifier"), other, meta)
    assert isinstance(found, f.EvaluationRefuted)
    assert "no request" in found.reason


async def test_a_score_without_its_games_is_refuted(system: System) -> None:
    score, meta = await scored(system)
    _, last = max(
        (item for item in await system.recorded(f.GameCompleted) if item[0].ticket == score.ticket),
        key=lambda item: item.meta.seq,
    )
    del system.broker.stream(GAMES).entries[last.seq]
    found = await recounted(system.process("verifier"), score, meta)
    assert isinstance(found, f.EvaluationRefuted)
    assert (found.reason, found.forged) == ("1 of its games are missing", False)


async def test_a_game_that_does_not_replay_refutes_its_score(system: System) -> None:
    score, meta = await scored(system)
    game, its = next(
        item for item in await system.recorded(f.GameCompleted) if item[0].ticket == score.ticket
    )
    forged = replace(game, winner=3 - game.winner, ranks=game.ranks[::-1])
    entries = system.broker.stream(GAMES).entries
    body = encode(draft(forged, cause=its.cause, source=its.source, key=game.game))
    entries[its.seq] = replace(entries[its.seq], body=body)
    found = await recounted(system.process("verifier"), score, meta)
    assert isinstance(found, f.EvaluationRefuted)
    assert game.game in found.reason


async def test_the_score_of_a_quarantined_node_does_not_count(system: System) -> None:
    score, meta = await scored(system)
    seq = await system.write(
        f.NodeQuarantined(node=score.node, clean_seq=0, evidence=0, games=0, why="it lied")
    )
    found = await recounted(system.process("verifier"), score, replace(meta, seq=seq + 1))
    assert isinstance(found, f.EvaluationRefuted)
    assert "quarantined" in found.reason


async def test_the_verifier_recounts_each_score_once(system: System) -> None:
    await scored(system)
    before = await system.recorded(f.EvaluationScored)
    await system.write(f.SettingsChanged(version=2, settings=RECOUNT, why="test"))
    async with running(verifier.main(system.process("verifier"))):
        await system.count(f.EvaluationRecounted, len(before))
    async with running(verifier.main(system.process("verifier"))):
        forged = replace(before[0].event, wins=0.0, ticket="evaluation-events-999")
        await system.write(forged)
        await system.first(f.EvaluationRefuted)
    found = await system.recorded(f.EvaluationRecounted)
    assert [meta.cause for _, meta in found] == [meta.position for _, meta in before]


async def test_a_network_that_needs_a_certificate_needs_recounted_scores(system: System) -> None:
    await scored(system)
    settings = replace(
        RECOUNT, evaluation=ONE_GENERATION.evaluation, trust=TrustSettings(required=True)
    )
    await system.write(f.SettingsChanged(version=2, settings=settings, why="test"))
    async with running(verifier.main(system.process("verifier"))):
        await system.count(f.EvaluationRecounted, len(await system.facts(f.EvaluationScored)))


async def test_without_the_setting_nothing_is_recounted(system: System) -> None:
    await scored(system)
    async with running(verifier.main(system.process("verifier"))):
        await system.first(f.VerificationPassed)
    assert await system.facts(f.EvaluationRecounted) == []


class RecountedLoop(RealLoop):
    """A loop whose scores count once they are recounted."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.log = MemoryLog(system.broker)
        self._system = system

    async def start(self) -> RealLoop:
        settings = replace(RECOUNT, generations=1)
        await self.put(f.SettingsChanged(version=1, settings=settings, why="test"))
        await self.turn()
        return self

    async def _evaluate(self, request: f.EvaluationRequested, position: str) -> None:
        await super()._evaluate(request, position)
        score, meta = (await self._system.recorded(f.EvaluationScored))[-1]
        await self.put(
            await recounted(self._system.process("verifier"), score, meta), meta.position, "r"
        )


async def test_the_loop_turns_with_recounts_as_without(system: System) -> None:
    loop = await RecountedLoop(system).start()
    plain = await RealLoop().start()
    for kind in (f.ModelPromoted, f.PromotionRejected):
        found = [(fact.generation, fact.evidence) for fact in await system.facts(kind)]
        expected = [(fact.generation, fact.evidence) for fact, _ in await plain.all(kind)]
        assert found == expected
    assert await system.facts(f.PromotionRejected)
    assert await system.facts(f.RatingsUpdated)
    report = await verify(loop.log)
    assert [item for item in report.problems if item.level == "fail"] == []


async def test_verification_names_a_recount_that_is_not_of_its_score(system: System) -> None:
    loop = await RecountedLoop(system).start()
    score, meta = (await system.recorded(f.EvaluationScored))[0]
    await system.write(
        f.SettingsChanged(version=2, settings=replace(RECOUNT, generations=1), why="test")
    )
    false = f.EvaluationRecounted(**asdict(replace(score, wins=0.0, scores=((0.0, 2),))))
    item = draft(false, cause=meta.position, source="verifier@n1", key="again")
    await loop.log.append([item])
    found = [item.text for item in (await verify(loop.log)).problems if item.kind == "score"]
    assert any("is not the score at" in text for text in found)
