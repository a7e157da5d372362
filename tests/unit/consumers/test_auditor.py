"""The auditor finds forged games of other nodes, by a sample that nobody could know before."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from support import forgeries
from support.forgeries import FORGERIES, PLAN, Forge, network, write
from support.system import System, running

from ringrift.consumers import feedback
from ringrift.consumers.auditor import Auditor
from ringrift.consumers.games import reanalysis
from ringrift.consumers.networks.fetching import Networks
from ringrift.events.facts import (
    AuditFinished,
    GameCompleted,
    GameReanalysed,
    GamesRetracted,
    NodeQuarantined,
    ReanalysisRequested,
    SettingsChanged,
)
from ringrift.events.settings import AuditSettings, Settings
from ringrift.events.tickets import ReanalysisTicket, tickets_of
from ringrift.log.topology import MODEL_BUCKET
from ringrift.runtime.process import Drained
from ringrift.trust.heads import HeadWriter

FEW = replace(PLAN, games=3, games_per_ticket=3)
"""games of a network, which take longer"""
ALL = Settings(audit=AuditSettings(decisions=0.05, new_games=0, compute_share=1.0))


async def headed(system: System) -> None:
    """Record a tree head, later than what was written."""
    await asyncio.sleep(1.0)
    for item in await HeadWriter(system.process("verifier", "n1")).round():
        await system.log.append([item])


async def audit(system: System, node: str = "n9", settings: Settings = ALL) -> list[AuditFinished]:
    """Audit what is in the log, once."""
    await system.write(SettingsChanged(version=1, settings=settings, why="test"))
    await headed(system)
    auditor = Auditor(system.process("auditor", node))
    await auditor.load()
    await auditor.round()
    return await system.facts(AuditFinished)


async def test_honest_games_pass(system: System) -> None:
    await write(system, "honest")
    (fact,) = await audit(system)
    (found,) = fact.found
    assert (found.node, found.differing, found.broken) == ("honest", (), ())
    assert found.games == PLAN.games
    assert found.decisions >= PLAN.games
    assert (fact.skipped, fact.first_seq, fact.last_seq) == (0, 1, PLAN.games)


@pytest.mark.parametrize("searched", [False, True])
async def test_an_auditor_that_stops_leaves_the_round_to_the_next(
    system: System, monkeypatch: pytest.MonkeyPatch, searched: bool
) -> None:
    await write(system, "honest")
    await system.write(SettingsChanged(version=1, settings=ALL, why="test"))
    await headed(system)
    process = system.process("auditor", "n9")
    auditor = Auditor(process)
    await auditor.load()
    if searched:
        search = auditor._search

        async def stopped(*arguments: object) -> int:
            process.stop()
            return await search(*arguments)

        monkeypatch.setattr(auditor, "_search", stopped)
    else:
        process.stop()
    with pytest.raises(Drained):
        await auditor.round()
    assert await system.facts(AuditFinished) == []
    (fact,) = await audit(system)
    assert (fact.first_seq, fact.last_seq) == (1, PLAN.games)


@pytest.mark.slow
async def test_honest_games_of_a_network_pass(system: System) -> None:
    digest, data, _ = network(1)
    auditor = system.process("auditor", "n9")
    await auditor.blobs.put(MODEL_BUCKET, data)
    await write(system, "honest", plan=replace(FEW, model=digest))
    (fact,) = await audit(system)
    (found,) = fact.found
    assert (found.games, found.differing, found.broken) == (FEW.games, (), ())


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(one, marks=pytest.mark.slow if one is forgeries.another_network else ())
        for one in FORGERIES
    ],
    ids=lambda forge: forge.__name__,
)
async def test_forged_games_are_found(system: System, forge: Forge) -> None:
    _, data, _ = network(1)
    plan = PLAN
    if forge is forgeries.another_network:
        plan = replace(FEW, model=network(1)[0])
        await system.process("auditor").blobs.put(MODEL_BUCKET, data)
    await write(system, "liar", forge, plan=plan)
    (fact,) = await audit(system)
    (found,) = fact.found
    noisy = forge in (
        forgeries.invented_targets,
        forgeries.weaker_search,
        forgeries.another_network,
        forgeries.copied,
    )
    failed = found.differing if noisy else found.broken
    assert len(failed) >= plan.games // (6 if forge is forgeries.copied else 2)
    assert bool(found.broken) is not noisy


async def reanalysed(system: System, forge: Forge | None = None) -> None:
    """Games, and new targets of them by the node `again`."""
    await write(system, "honest")
    request = ReanalysisRequested(
        config=PLAN.config,
        model=None,
        first_seq=1,
        last_seq=PLAN.games,
        games=PLAN.games,
        simulations=PLAN.simulations,
        seed=7,
        settings_version=0,
    )
    (ticket,) = tickets_of(request, f"EVENTS/{await system.write(request)}")
    assert isinstance(ticket, ReanalysisTicket)
    process = system.process("selfplay", "again")
    await reanalysis.reanalyse(process, ticket, 1, Networks(process))
    if forge is None:
        return
    games = {game.game: game for game in await system.facts(GameCompleted)}
    for fact in await system.facts(GameReanalysed):
        old = replace(games[fact.game], targets=fact.targets)
        forged = replace(fact, targets=forge(old).targets, node="liar")
        await system.process("selfplay", "liar").append(
            forged, cause=ticket.cause, key=fact.game + "~"
        )


async def test_honest_new_targets_pass(system: System) -> None:
    await reanalysed(system)
    (fact,) = await audit(system)
    (found,) = [one for one in fact.found if one.node == "again"]
    assert (found.games, found.differing, found.broken) == (PLAN.games, (), ())


async def test_forged_new_targets_are_found(system: System) -> None:
    await reanalysed(system, forgeries.invented_targets)
    (fact,) = await audit(system)
    (found,) = [one for one in fact.found if one.node == "liar"]
    assert len(found.differing) >= PLAN.games // 2


async def test_nobody_audits_its_own_games(system: System) -> None:
    await write(system, "liar", forgeries.wrong_result)
    assert await audit(system, node="liar") == []


async def test_games_after_the_newest_head_wait(system: System) -> None:
    await write(system, "honest")
    await audit(system)
    games = await write(system, "liar", forgeries.wrong_result)
    auditor = Auditor(system.process("auditor", "n9"))
    await auditor.load()
    await auditor.round()
    assert len(await system.facts(AuditFinished)) == 1
    await headed(system)
    await auditor.round()
    _, fact = await system.facts(AuditFinished)
    assert set(fact.found[0].broken) == {game.game for game in games}


async def test_without_time_the_sample_is_skipped(system: System) -> None:
    await write(system, "honest")
    nothing = Settings(audit=AuditSettings(decisions=0.05, new_games=0, compute_share=0.0))
    await system.write(SettingsChanged(version=1, settings=nothing, why="test"))
    await headed(system)
    auditor = Auditor(system.process("auditor", "n9"))
    auditor.seconds = 0.0
    await auditor.round()
    (fact,) = await system.facts(AuditFinished)
    assert (fact.found, fact.skipped) == ((), PLAN.games)


async def test_a_liar_is_quarantined_and_its_games_are_retracted(system: System) -> None:
    honest = await write(system, "honest")
    games = await write(system, "liar", forgeries.invented_targets)
    async with running(feedback.main(system.process("feedback", "n1"))):
        await audit(system)
        quarantine, meta = await system.first(NodeQuarantined)
        retraction, retracted = await system.first(GamesRetracted)
    assert (quarantine.node, quarantine.clean_seq) == ("liar", 0)
    assert retracted.cause == meta.position
    assert (retraction.node, retraction.count) == ("liar", len(games))
    assert retraction.first_seq == len(honest) + 1
    async with running(feedback.main(system.process("feedback", "n2"))):
        await system.write(NodeQuarantined(node="other", clean_seq=0, evidence=0, games=0, why=""))
    assert len(await system.facts(GamesRetracted)) == 1
