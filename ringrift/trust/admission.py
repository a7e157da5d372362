"""Admitting and revoking nodes: whose facts count, and what the roles may write."""

import time
from collections.abc import Iterable, Sequence

from ringrift.errors import CommandError
from ringrift.events import Fact, UndecodableEvent, draft, type_of
from ringrift.events.facts import (
    OPERATOR,
    NodeAdmitted,
    NodeRevoked,
    RoleRightsDefined,
    SignaturesRequired,
)
from ringrift.events.sealing import seal_of
from ringrift.log.identity import NodeKey
from ringrift.log.keyring import Standing, is_signed, raw_key
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.runtime.processes import COMMANDS, ROLES, of_roles

RECENT_EVENTS = 200
"""events that are looked at before signatures are required"""
SHOWN_MAX = 5


def rights_of(role: str) -> RoleRightsDefined:
    """What nodes of a role may write by the table of processes; operators need no rights."""
    kinds = {kind for spec in of_roles([role]) for kind in spec.writes}
    subjects = tuple(sorted({type_of(kind).subject_filter for kind in kinds}))
    return RoleRightsDefined(role=role, subjects=subjects, about_others=role == "coordinator")


async def standing(log: Log) -> Standing:
    """Who may write what, as the log says now."""
    await log.know(EVENTS, await log.tail(EVENTS))
    return log.ring.standing


async def admit(log: Log, node: str, key: str, roles: Sequence[str], why: str) -> bool:
    """Admit a key, after that of this machine as an operator's if the log has none; whether
    something had to be written. Raises CommandError."""
    if not roles or not {*roles} <= {*ROLES, OPERATOR}:
        choice = ", ".join((*ROLES, OPERATOR))
        raise CommandError(f"{', '.join(roles) or 'no role'}: give one or more of {choice}")
    try:
        raw_key(key)
    except ValueError as error:
        raise CommandError(f"{error}: `ringrift node key` prints that of a machine") from error
    now, own = await standing(log), _own(log)
    facts: list[Fact] = []
    if not now.admitted and key != own.key:
        facts.append(NodeAdmitted(node=OPERATOR, key=own.key, roles=(OPERATOR,), why=why))
    elif now.admitted:
        _check_operator(now, own)
    known = now.admitted.get(key)
    if known is None or (known.node, known.roles) != (node, tuple(roles)):
        facts.append(NodeAdmitted(node=node, key=key, roles=tuple(roles), why=why))
    facts += _changed_rights(now)
    await _write(log, facts)
    return bool(facts)


def _changed_rights(now: Standing) -> Iterable[RoleRightsDefined]:
    """The rights that this program knows and the log does not have."""
    return (item for item in map(rights_of, ROLES) if now.rights.get(item.role) != item)


async def admit_itself(log: Log, node: str) -> None:
    """Admit this machine to a log without operators, as its operator. Raises CommandError."""
    if not (await standing(log)).admitted:
        own = NodeAdmitted(node=node, key=_own(log).key, roles=(OPERATOR,), why="its own log")
        await _write(log, [own])


async def record_rights(log: Log) -> bool:
    """Record the rights that this program knows and the log does not have, if this machine's key is
    an operator's; whether there were any."""
    now = await standing(log)
    own = log.signer.key if isinstance(log.signer, NodeKey) else ""
    if OPERATOR not in getattr(now.admitted.get(own), "roles", ()):
        return False
    facts = list(_changed_rights(now))
    await _write(log, facts)
    return bool(facts)


async def keys_of(log: Log, name: str) -> set[str]:
    """The admitted keys of a node, or one key."""
    now = await standing(log)
    return {one.key for one in now.admitted.values() if name in (one.node, one.key)}


async def revoke(log: Log, name: str, why: str) -> list[str]:
    """Revoke the keys of a node, or one key; return them. Raises CommandError."""
    now, own = await standing(log), _own(log)
    found = [one for one in now.admitted.values() if name in (one.node, one.key)]
    if not found:
        nodes = ", ".join(sorted({one.node for one in now.admitted.values()})) or "none"
        raise CommandError(f"no node {name!r} is admitted; admitted: {nodes}")
    _check_operator(now, own)
    keys = {one.key for one in found}
    if not any(OPERATOR in one.roles for key, one in now.admitted.items() if key not in keys):
        raise CommandError(f"{name} is the last operator: admit another one first")
    await _write(log, [NodeRevoked(node=one.node, key=one.key, why=why) for one in found])
    return sorted(keys)


async def require_signatures(log: Log, why: str, *, anyway: bool = False) -> None:
    """Let only facts count that an admitted node signed. Raises CommandError if a recent fact would
    not, unless `anyway`."""
    now = await standing(log)
    if not now.admitted:
        raise CommandError("no node is admitted: `ringrift node admit` comes first")
    _check_operator(now, _own(log))
    if now.required and now.batches:
        raise CommandError("signatures are required already")
    refused = await _refused(log, now)
    if refused and not anyway:
        shown = "; ".join(refused[:SHOWN_MAX])
        remedy = "admit these nodes and restart their processes, or give --anyway"
        raise CommandError(f"{len(refused)} recent facts would not count: {shown}; {remedy}")
    await _write(log, [SignaturesRequired(why=why, batches=True)])


async def _refused(log: Log, now: Standing) -> list[str]:
    """Why recent facts would not count if signatures were required."""
    found, strict = list[str](), Standing(admitted=now.admitted, rights=now.rights, required=True)
    tail = await log.tail(EVENTS)
    async for batch in log.read(EVENTS, start_seq=max(1, tail - RECENT_EVENTS + 1)):
        for entry in batch:
            try:
                event, meta = entry.recorded(EVENTS)
            except UndecodableEvent:
                continue  # every reader skips it
            seal = seal_of(entry.body)
            why = strict.refusal(event, meta, seal)
            if why or (seal and not is_signed(seal)):
                found.append(f"{meta.position} by {meta.source}: {why or 'wrong signature'}")
    return found


def _own(log: Log) -> NodeKey:
    if not isinstance(log.signer, NodeKey):
        raise CommandError("this machine has no key: `ringrift node key` makes one")
    return log.signer


def _check_operator(now: Standing, own: NodeKey) -> None:
    if OPERATOR not in getattr(now.admitted.get(own.key), "roles", ()):
        operators = [one.node for one in now.admitted.values() if OPERATOR in one.roles]
        who = ", ".join(sorted(operators))
        raise CommandError(f"the key of this machine is not that of an operator ({who})")


async def _write(log: Log, facts: Sequence[Fact]) -> None:
    moment = time.time_ns()
    drafts = [
        draft(fact, cause=None, source=COMMANDS, key=f"{moment}.{number}")
        for number, fact in enumerate(facts)
    ]
    await log.append(drafts)
