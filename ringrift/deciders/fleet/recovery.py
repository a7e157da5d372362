"""What is done about a lost node? It is restarted by the hook, if the hook can do that
(`renting.restarts_max`); if it does not return, a rented node is replaced by another one. One of
the operator's own is left to a person, and so is one of an offer of which too many were replaced.

A node that is drained, preempted or returned is not lost."""

from collections.abc import Iterator
from datetime import datetime

from ringrift.deciders.kit import Context, Decider, Struct, changed, replace
from ringrift.events import facts as f
from ringrift.events.settings import RentingSettings

DAY_SECONDS = 24 * 3600.0
REPLACED_MAX = 1_000
"""replacements that are remembered"""


class Lost(Struct, frozen=True, kw_only=True):
    """A lost node: actions so far, restarts among them, and when the last one was requested, or
    failed."""

    attempts: int = 0
    restarts: int = 0
    acted: datetime | None = None
    ended: bool = False
    """whether nothing more is done: it is being replaced, or left to a person"""


class Replaced(Struct, frozen=True, kw_only=True):
    """When a node of an offer was replaced."""

    offer: str
    at: datetime


class Recovery(Struct, frozen=True, kw_only=True):
    """Lost nodes, the offers of rented nodes, and what was replaced of late."""

    lost: dict[str, Lost] = {}
    rented: dict[str, str] = {}
    replaced: tuple[Replaced, ...] = ()


DECIDER = Decider("recovery", Recovery)


@DECIDER.evolves
def rented(state: Recovery, fact: f.NodeRented) -> Recovery:
    return replace(state, rented={**state.rented, fact.node: fact.offer})


@DECIDER.evolves
def lost(state: Recovery, fact: f.NodeLost) -> Recovery:
    return replace(state, lost={**state.lost, fact.node: Lost()})


@DECIDER.evolves
def present(state: Recovery, fact: f.NodePresenceChanged) -> Recovery:
    return _found(state, fact.node) if fact.present else state


@DECIDER.evolves
def dropped(state: Recovery, fact: f.NodeReturned | f.NodeForgotten) -> Recovery:
    left = {name: offer for name, offer in state.rented.items() if name != fact.node}
    return replace(_found(state, fact.node), rented=left)


@DECIDER.evolves
def requested(state: Recovery, fact: f.RecoveryActionRequested, context: Context) -> Recovery:
    node = state.lost.get(fact.node)
    if node is None:
        return state
    restart = fact.action == "restart"
    changes = {"attempts": fact.attempt, "restarts": node.restarts + restart}
    found = changed(state.lost, fact.node, acted=context.time, ended=not restart, **changes)
    if fact.action == "replace":
        one = Replaced(offer=state.rented.get(fact.node, ""), at=context.time)
        state = replace(state, replaced=(*state.replaced, one)[-REPLACED_MAX:])
    return replace(state, lost=found)


@DECIDER.evolves
def taken(state: Recovery, fact: f.RecoveryActionTaken, context: Context) -> Recovery:
    """One that was restarted gets its time from now on; for one that was not, the next step is
    due."""
    acted = context.time if fact.done else None
    return replace(state, lost=changed(state.lost, fact.node, acted=acted))


@DECIDER.decides
def act(
    state: Recovery, fact: f.NodeLost | f.RecoveryActionTaken | f.TickRecorded, context: Context
) -> Iterator[f.RecoveryActionRequested]:
    """The next step for each lost node."""
    settings = context.settings.renting
    for name, node in state.lost.items():
        if node.ended or not _due(node, settings, context):
            continue
        if (step := _step(state, name, node, settings, context)) is None:
            continue
        action, why = step
        yield f.RecoveryActionRequested(
            node=name,
            action=action,
            attempt=min(node.attempts + 1, f.COUNT_MAX),
            why=why,
            settings_version=context.settings_version,
        )


def _step(
    state: Recovery, name: str, node: Lost, settings: RentingSettings, context: Context
) -> tuple[f.RecoveryAction, str] | None:
    if node.restarts < settings.restarts_max:
        return "restart", "it is lost"
    offer = state.rented.get(name)
    tried = f"{node.restarts} restarts did not help" if node.restarts else "it is lost"
    if offer is None:
        return ("escalate", tried) if node.restarts else None
    lately = sum(
        one.offer == offer and (context.time - one.at).total_seconds() < DAY_SECONDS
        for one in state.replaced
    )
    if lately < settings.replacements_max:
        return "replace", tried
    return "escalate", f"{tried}, and {lately} nodes of {offer} were replaced in a day"


def _due(node: Lost, settings: RentingSettings, context: Context) -> bool:
    waited = (context.time - node.acted).total_seconds() if node.acted else None
    return waited is None or waited >= settings.restart_minutes * 60.0


def _found(state: Recovery, name: str) -> Recovery:
    left = {other: node for other, node in state.lost.items() if other != name}
    return replace(state, lost=left) if name in state.lost else state
