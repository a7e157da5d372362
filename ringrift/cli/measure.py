"""Commands that measure the strength of networks, budgets and harnesses."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from msgspec.structs import asdict

from ringrift.cli import common
from ringrift.cli.common import TABLE, Form, Tabular, opened, progress, show_rows
from ringrift.errors import CommandError


def harnesses(*, guide: bool = False, form: Form = TABLE) -> None:
    """List the harnesses, and the models and numbers of seats that each can play.

    Args:
        guide: Print the page docs/harnesses.md.
    """
    from ringrift.insight.harness_guide import harness_page, harness_rows, harness_text

    if guide:
        print(harness_page(), end="")
    else:
        rows = harness_rows()
        show_rows(form, rows, rows, harness_text())


async def strength(
    *,
    config: common.Config,
    model: str | None = None,
    simulations: common.PositiveInt = 64,
    against: common.Words = (),
    starts: common.PositiveInt | None = None,
    seed: int = 1,
    ladder: bool = False,
    budgets: common.Numbers = (),
    report: bool = False,
    session: Tabular = TABLE,
) -> None:
    """Measure the strength of a network by matches; write a report and a picture.

    Args:
        config: Board and number of seats, such as hex8_2p.
        model: First digits of the digest of a network [default: the current network].
        simulations: Search budget per decision.
        against: Opponents; self2 has twice the budget [default: random,heuristic,self2].
        starts: Starts of a match, each once per seat [default: 200; on a ladder, for 100 games].
        seed: Another number gives new games.
        ladder: Instead measure every searching harness: each budget against the one below.
        budgets: Budgets of the ladder [default: those of each harness].
        report: Play nothing, report what is in the log.
    """
    from ringrift.insight.describe import short
    from ringrift.insight.strength import arena as matches
    from ringrift.insight.strength.strength_report import ladder_table, results_table, write_report

    opponents = matches.opponents_of(against)
    async with _arena(session, config, seed, create=ladder and not report) as arena:
        if ladder:
            if not report:
                await matches.play_ladder(arena, model, budgets, starts)
            rungs = arena.known.rungs()
            known = {"config": config, "rungs": rungs}
            show_rows(session, known, rungs, ladder_table(config, rungs))
            return
        digest = arena.known.model(model or "current")
        if not report:
            await matches.play_strength(arena, digest, simulations, opponents, starts)
        found = arena.known.report(digest)
    page = session.data / f"strength_{config}.md"
    picture = write_report(found, page)
    games = f"{found.games_generated:,} self-play games"
    title = f"{config}: network {short(found.model)}, generation {found.generation}, {games}"
    files = f"report: {page}\nplot: {picture}"
    show_rows(session, found, found.results, results_table(title, found.results), files)


async def gauntlet(
    *,
    config: common.Config | None = None,
    all: bool = False,
    model: str | None = None,
    models: common.Words = (),
    tiers: bool = False,
    simulations: common.PositiveInt = 64,
    starts: common.PositiveInt = 50,
    seed: int = 1,
    session: Tabular = TABLE,
) -> None:
    """Play a network under every harness, or against the tiers, or several networks.

    Args:
        config: Board and number of seats, such as hex8_2p.
        all: Instead play the current network of every config that is on.
        model: First digits of the digest of a network [default: the current network].
        models: Instead play a round robin of these networks (first digits of their digests).
        tiers: Instead play the tiers from D1 up, and report the highest that is beaten.
        simulations: Search budget per decision.
        starts: Starts of a match, each played once per seat.
        seed: Another number gives new games.
    """
    from ringrift.cluster.screen import ratings_table
    from ringrift.insight.strength import arena as matches
    from ringrift.insight.strength.strength_report import results_table

    if models and tiers:
        raise CommandError("give --models or --tiers, not both")
    if (config is None) != all or (all and (model or models or tiers)):
        raise CommandError("give --config, or --all without --model, --models and --tiers")
    if config is None:
        await _gauntlet_of_all(simulations, starts, seed, session)
        return
    name = model or "current"
    async with _arena(session, config, seed) as arena:
        if tiers:
            climb = await matches.climb_tiers(arena, name, simulations, starts)
            table = results_table(f"{config}: tiers from D1", climb.results)
            highest = f"highest tier beaten: {climb.highest_tier_beaten or 'none'}"
            known = {"config": config, **climb._asdict()}
            show_rows(session, known, climb.results, table, highest)
            return
        if models:
            found = await matches.play_round_robin(arena, models, simulations, starts)
        else:
            found = await matches.play_gauntlet(arena, name, simulations, starts)
    results, rated = found
    table = results_table(f"{config}: {'tournament' if models else 'gauntlet'}", results)
    document = {"results": results, "ratings": rated.ratings, "anchor": rated.anchor}
    ratings = ratings_table(config, rated.ratings, rated.anchor, rated.unrated)
    show_rows(session, {"config": config, **document}, results, table, ratings)


async def _gauntlet_of_all(simulations: int, starts: int, seed: int, session: Tabular) -> None:
    """Play the current network of every config that has one, config by config."""
    from ringrift.cluster.screen import ratings_table
    from ringrift.insight.strength import arena as matches
    from ringrift.insight.strength.strength_report import results_table
    from ringrift.log.read import settings_in_force

    async with opened(session) as log:
        settings, _ = await settings_in_force(log)
    documents, rows, texts = list[Any](), list[Any](), list[Any]()
    for config in settings.configs:
        async with _arena(session, config, seed) as arena:
            if arena.known.view.current is None:
                texts.append(f"{config}: no current network yet")
                continue
            results, rated = await matches.play_gauntlet(arena, "current", simulations, starts)
        document = {"results": results, "ratings": rated.ratings, "anchor": rated.anchor}
        documents.append({"config": config, **document})
        rows += [{"config": config, **asdict(row)} for row in results]
        texts.append(results_table(f"{config}: gauntlet", results))
        texts.append(ratings_table(config, rated.ratings, rated.anchor, rated.unrated))
    show_rows(session, documents, rows, *texts)


def tiers(*, form: Form = TABLE) -> None:
    """List the players of the tiers D1 to D10."""
    from ringrift.insight.describe import table
    from ringrift.learning.pairings import TIERS

    columns = ("tier", "participant", "harness", ">simulations")
    rows = [
        {"tier": name}
        | {field: getattr(seat, field) for field in ("participant", "harness", "simulations")}
        for name, seat in TIERS.items()
    ]
    document = [{"tier": name, "seat": seat} for name, seat in TIERS.items()]
    show_rows(form, document, rows, table(columns, map(dict.values, rows)))


@contextlib.asynccontextmanager
async def _arena(
    session: Tabular, config: str, seed: int, *, create: bool = False
) -> AsyncIterator[Any]:
    """Open the log for matches. Evaluators are started on this machine if none are running."""
    from ringrift.cluster.machine import evaluators
    from ringrift.insight.strength.arena import Arena
    from ringrift.server.ensure import ensure

    async with opened(session, create=create) as log:
        await ensure(log, replicas=None)
        start = partial(evaluators, log, session.data)
        async with Arena(log, config, seed, start, progress) as arena:
            yield arena
