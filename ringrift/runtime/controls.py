"""The controls that every process obeys: pauses, the operation settings in force, the work assigned
to its node, and voters whose disks are short."""

import asyncio
from typing import Any

from ringrift.deciders.context import Pauses
from ringrift.deciders.fleet.pressure import takes_work
from ringrift.events import EventMeta, Fact
from ringrift.events.facts import (
    NodeAssigned,
    NodeDrainRequested,
    NodeQuarantined,
    NodeReleased,
    PipelinePaused,
    PipelineResumed,
    PreemptionNoticed,
    RoleMoveRequested,
    SettingsChanged,
    Tier,
    VoterDiskChanged,
)
from ringrift.events.settings import OperationSettings
from ringrift.log import read
from ringrift.log.errors import LogRewound
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS

QUARANTINES = (NodeQuarantined, NodeReleased)
PATIENCE_SECONDS = 1.0
"""in which a preferred node takes a free lease"""
MOVE_SECONDS = 20.0
"""in which the node to which a role is moved takes the lease; then any other may"""
DRAINS = (NodeDrainRequested, PreemptionNoticed)
CONTROLS = (
    *(SettingsChanged, PipelinePaused, PipelineResumed, NodeAssigned, VoterDiskChanged),
    *(*QUARANTINES, *DRAINS, RoleMoveRequested),
)


class Controls:
    """The controls in force for one process on `node`, folded from the log."""

    def __init__(self, log: Log, node: str, logger: Any) -> None:
        self.pauses = Pauses()
        self.operation = OperationSettings()
        self.assigned: NodeAssigned | None = None
        self.preempted = False
        """whether the ticket in hand must be handed back, because the node was assigned to more
        urgent work"""
        self.quarantined = ""
        """why this node is"""
        self.draining = False
        """whether this process takes no more tickets until it ends"""
        self.short_voters: dict[str, Tier] = {}
        """voters whose disks are so full that no new work may begin"""
        self._moves: dict[str, tuple[str, float]] = {}
        """nodes to which roles are moved, and when that was requested, in seconds since 1970"""
        self._moved = asyncio.Event()
        self._log, self._node, self._logger = log, node, logger

    def allows(self, kind: str) -> bool:
        """Whether this node may take tickets of `kind`. A node without an assignment takes all."""
        return self.assigned is None or kind in self.assigned.kinds

    def patience(self, role: str, now: float) -> float:
        """Seconds for which this node leaves a free lease to nodes that are preferred to it: to one
        to which the role is moved, else by the order of the settings. `now` is since 1970."""
        node, at = self._moves.get(role, ("", 0.0))
        if node and now < at + MOVE_SECONDS:
            return 0.0 if node == self._node else at + MOVE_SECONDS - now
        preferred = self.operation.coordinators
        place = preferred.index(self._node) if self._node in preferred else len(preferred)
        return place * PATIENCE_SECONDS

    async def moved(self, role: str) -> str:
        """Return the other node to which a role is moved from now on, as soon as it is."""
        self._moves.pop(role, None)
        while (node := self._moves.get(role, (self._node, 0.0))[0]) == self._node:
            await self._moved.wait()
        return node

    async def load(self) -> int:
        """Fold the controls in the log; the sequence after which to follow them."""
        tail = await self._log.tail(EVENTS)
        async for event, meta in read.facts(self._log, *CONTROLS, until=tail):
            # those were for the processes before
            if not isinstance(event, (*DRAINS, RoleMoveRequested)):
                self._take(event, meta)
        return tail

    async def follow(self, after: int) -> None:
        """Fold controls as they are written, until cancelled."""
        while True:
            try:
                async for event, meta in read.follow(self._log, *CONTROLS, after=after):
                    self._take(event, meta)
            except LogRewound:  # the server lost events, maybe some of those folded here
                after = await self.load()

    def _take(self, event: Fact, meta: EventMeta) -> None:
        if isinstance(event, SettingsChanged):
            self.operation = event.settings.operation
        elif isinstance(event, NodeAssigned) and event.node == self._node:
            self.assigned, self.preempted = event, event.preempts
            self._logger.info("assigned", kinds=event.kinds, why=event.why)
        elif isinstance(event, QUARANTINES) and event.node == self._node:
            self.quarantined = event.why if isinstance(event, NodeQuarantined) else ""
            name = type(event).__name__
            self._logger.info(name, why=event.why)
        elif isinstance(event, DRAINS) and event.node == self._node:
            self.draining = True
        elif isinstance(event, RoleMoveRequested):
            self._moves[event.role] = event.node, meta.time.timestamp()
            self._moved.set()
            self._moved = asyncio.Event()
        elif isinstance(event, VoterDiskChanged):
            self.short_voters.pop(event.voter, None)
            if not takes_work({"disk": event.tier}):
                self.short_voters[event.voter] = event.tier
        elif isinstance(event, (PipelinePaused, PipelineResumed)):
            self.pauses = self.pauses.after(event)
            name, why = type(event).__name__, event.why
            self._logger.info(name, scope=event.scope, kind=event.kind, why=why, id=meta.id)


async def pauses_in_force(log: Log) -> dict[str, str]:
    """The reason of every pause in force, by `<scope>/<kind>`."""
    state, why = Pauses(), dict[str, str]()
    async for event, _ in read.facts(log, PipelinePaused, PipelineResumed):
        if not isinstance(event, (PipelinePaused, PipelineResumed)):
            continue
        state = state.after(event)
        why[f"{event.scope}/{event.kind}"] = event.why
    return {f"{scope}/{kind}": why[f"{scope}/{kind}"] for scope, kind in state.paused}


async def quarantines_in_force(log: Log, until: int | None = None) -> dict[str, str]:
    """The quarantined nodes, and why each is."""
    found: dict[str, str] = {}
    async for event, _ in read.facts(log, *QUARANTINES, until=until):
        found.pop(event.node, None)
        if isinstance(event, NodeQuarantined):
            found[event.node] = event.why
    return found


def resume_command(pause: str) -> str:
    """The command that ends the pause `<scope>/<kind>`."""
    scope, kind = pause.split("/")
    command = "ringrift resume"
    if scope != "all":
        command += f" --config {scope}"
    if kind != "all":
        command += f" --kind {kind}"
    return command
