"""`ringrift fleet ...`: the nodes of the fleet."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import asdict

from ringrift.cli.common import (
    HERE,
    TABLE,
    Assignments,
    Duration,
    Session,
    Source,
    Tabular,
    opened,
    parsed,
    reading,
    show,
    show_rows,
    words,
)
from ringrift.cluster import fleet_view as fleet, steering
from ringrift.errors import CommandError
from ringrift.events import facts as f
from ringrift.events.settings_sources import from_arguments, load
from ringrift.insight.describe import table
from ringrift.log.presence import Presence
from ringrift.log.protocol import Log
from ringrift.log.read import follow, latest, settings_in_force
from ringrift.runtime.controls import MOVE_SECONDS
from ringrift.runtime.processes import PROCESSES

WORK: tuple[f.WorkKind, ...] = ("training", "evaluation", "selfplay")


def _kinds(text: str) -> tuple[str, ...]:
    found = words(text)
    if not found or not set(found) <= set(WORK):
        raise ValueError(f"{text!r}: give one or more of {','.join(WORK)}")
    return found


async def register(file: Path, /, *, source: Source = HERE) -> None:
    """Register the nodes of a fleet file; that replaces what is known of them.

    Args:
        file: TOML file such as ops/fleet.toml, or the old system's distributed_hosts.yaml.
    """
    from ringrift.cluster.fleet_file import read_fleet
    from ringrift.cluster.hosts_file import ENDINGS, read_hosts

    nodes = read_hosts(file) if file.suffix in ENDINGS else read_fleet(file)
    async with opened(source) as log:
        for node in nodes:
            await steering.record(log, node.fact)
    cost = sum(node.fact.cost_per_hour for node in nodes)
    print(f"{len(nodes)} nodes registered, {cost:,.2f} per hour")


async def unregister(node: str, /, *, why: str = "", source: Source = HERE) -> None:
    """Let what a node says of itself count instead of its registration.

    Args:
        node: Name of the node.
        why: The reason, which is recorded.
    """
    async with opened(source) as log:
        if (await fleet.node_of(log, node)).known != "registered":
            raise CommandError(f"{node} is not registered: it is known from its own heartbeats")
        await steering.record(log, f.NodeUnregistered(node=node, why=why))
    print(f"{node}: what it says of itself counts")


async def list_nodes(*, session: Tabular = TABLE) -> None:
    """List the nodes of the fleet, what each does, and why."""
    async with opened(session) as log:
        nodes = await fleet.nodes_of(log)
    show_rows(session, nodes, nodes, table(fleet.COLUMNS, [node.row for node in nodes]))


async def list_costs(*, session: Tabular = TABLE) -> None:
    """Show what each config has cost, and the Elo that it gained per hour and per unit of currency.

    Costs are those of nodes with a price, which they name themselves or `ringrift fleet register`
    gives.
    """
    async with opened(session) as log:
        found = await fleet.costs_of(log)
    show_rows(session, found, found, table(fleet.COST_COLUMNS, [one.row for one in found]))


async def show_node(node: str, /, *, session: Session = HERE) -> None:
    """Show all that is known of one node.

    Args:
        node: Name of the node.
    """
    async with opened(session) as log:
        found = asdict(await fleet.node_of(log, node))
    show(found, session.json, *(f"{name}: {value}" for name, value in found.items()))


async def forget(node: str, /, *, why: str = "", source: Source = HERE) -> None:
    """Forget an absent node that was given back: it is neither registered nor missed.

    Args:
        node: Name of the node.
        why: The reason, which is recorded.
    """
    async with opened(source) as log:
        if node in (await fleet.fleet_state(log)).joined:
            raise CommandError(f"{node} sends heartbeats: stop it first")
        await steering.record(log, f.NodeForgotten(node=node, why=why))
    print(f"{node} is forgotten")


async def reserve(
    node: str,
    kinds: Annotated[tuple[f.WorkKind, ...], Parameter(converter=parsed(_kinds), n_tokens=1)],
    /,
    *,
    duration: Annotated[Duration | None, Parameter(name="--for")] = None,
    why: str = "",
    source: Source = HERE,
) -> None:
    """Reserve a node for kinds of work, such as training or evaluation,selfplay.

    Args:
        node: Name of the node.
        kinds: The only work that it does.
        duration: Time after which the reservation ends; without it, `release` ends it.
        why: The reason, which is recorded.
    """
    until = f.COUNT_MAX if duration is None else int(time.time() + duration.total_seconds()) // 60
    async with opened(source) as log:
        await fleet.node_of(log, node)
        fact = f.NodeReserved(node=node, kinds=kinds, until_minute=until, why=why)
        await steering.record(log, fact)
    print(f"{node} is reserved for {', '.join(kinds)}")


async def release(node: str, /, *, why: str = "", source: Source = HERE) -> None:
    """End the reservation of a node.

    Args:
        node: Name of the node.
        why: The reason, which is recorded.
    """
    async with opened(source) as log:
        if not (await fleet.node_of(log, node)).reserved_for:
            raise CommandError(f"{node} is not reserved")
        await steering.record(log, f.ReservationEnded(node=node, why=why))
    print(f"{node} is released")


async def scale(
    *,
    set: Assignments = (),
    dry_run: bool = False,
    why: str = "ringrift fleet scale",
    session: Tabular = TABLE,
) -> None:
    """Show what is rented, and what would be rented or returned now and why.

    Args:
        set: Change a setting first, such as renting.budget_per_hour=2; may be repeated.
        dry_run: Only show what these settings would do.
        why: The reason, which is recorded.
    """
    from ringrift.insight import renting

    async with reading(session, "folding EVENTS") as (log, report):
        chosen, _ = await settings_in_force(log)
        if set:
            chosen = load(from_arguments(set), base=chosen)
            if not dry_run:
                await steering.apply_settings(log, chosen, why)
        plan = await renting.plan_of(log, datetime.now(UTC), chosen, report)
    cost = f"{plan.cost_per_hour:,.2f} per hour, {plan.spent:,.2f} so far"
    lines = [f"{step.do} {step.node}: {step.why}" for step in plan.steps]
    lines += [f"nothing more is rented: {plan.holds}"] if plan.holds else []
    would = "with these settings" if dry_run else "now"
    shown = table(renting.COLUMNS, [node.row for node in plan.nodes]) if plan.nodes else None
    show_rows(session, plan, plan.nodes, shown, cost, f"{would}:", *lines or ["nothing to do"])


async def drain(
    node: str,
    /,
    *,
    within: Annotated[Duration, Parameter(name="--in")] = timedelta(minutes=2),
    why: str = "by hand",
    source: Source = HERE,
) -> None:
    """Let a node finish its tickets and stop, as before its provider takes it away.

    Args:
        node: Name of the node.
        within: Time after which it stops although it still works, such as 30s.
        why: The reason, which is recorded.
    """
    async with opened(source) as log:
        if node not in (await fleet.fleet_state(log)).joined:
            raise CommandError(f"{node} sends no heartbeats: there is nothing to drain")
        seconds = within.total_seconds()
        await steering.record(log, f.NodeDrainRequested(node=node, seconds=seconds, why=why))
    print(f"{node} drains, and stops within {seconds:g} s")


async def act(role: str, node: str, /, *, why: str = "by hand", source: Source = HERE) -> None:
    """Let a node act for a role, such as planner, instead of the node that does now.

    Args:
        role: Name of the role, as `ringrift status` shows it.
        node: Name of the node, which must stand by for the role.
        why: The reason, which is recorded.
    """
    async with opened(source) as log:
        standing_by = {beat.node for beat in await Presence(log).all() if beat.consumer == role}
        if not PROCESSES.keys() & {role} or not PROCESSES[role].leased:
            leased = ", ".join(name for name, spec in PROCESSES.items() if spec.leased)
            raise CommandError(f"there is no role {role!r}: the roles are {leased}")
        if node not in standing_by:
            raise CommandError(f"no process {role} runs on {node}: start one")
        newest = await latest(log, f.LeaseAcquired, scope=role)
        holder = newest.event.holder.partition(".")[0] if newest else ""
        if holder != node:
            fact = f.RoleMoveRequested(role=role, node=node, why=why)
            seq = await steering.record(log, fact)
            holder = await _next_holder(log, role, seq)
        if holder != node:
            raise CommandError(f"{node} did not take {role}: {holder or 'the same node'} acts")
    print(f"{node} acts as {role}")


async def _next_holder(log: Log, role: str, after: int) -> str:
    """The node that acts for a role next, empty if none does within the time of a move."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2 * MOVE_SECONDS):
            async for event, _ in follow(log, f.LeaseAcquired, scope=role, after=after):
                return event.holder.partition(".")[0]
    return ""
