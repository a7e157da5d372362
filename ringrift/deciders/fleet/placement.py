"""Which kinds of work suit each node? Kinds follow from the cost of a game on the node.

    reserved   the kinds that the operator reserved the node for, until then
    training   one node for every few configs: not ephemeral and not slow if possible, then cheapest
    stand-by   a node on which a game costs much more than the fleet's mean; it can be given back.
               What `fleet/renting.py` rented is not: that decides what is worth its cost
    the rest   evaluates and plays, a slow node only plays

Speeds are estimates, so every threshold has a hysteresis."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from itertools import groupby, islice

from msgspec import Struct
from msgspec.json import encode
from msgspec.structs import asdict, replace

from ringrift.events import facts as f
from ringrift.events.settings import SchedulingSettings

Kinds = tuple[f.WorkKind, ...]
TICKET_SECONDS_MIN = 1.0
"""shorter tickets spend their time on the queue"""
HYSTERESIS = 0.85
"""factor on the cost of a node that trains, and on the threshold of a node on stand-by"""


class FleetNode(Struct, frozen=True, kw_only=True, dict=True):
    """A node of the fleet, whether it is present, and its newest assignment."""

    registered: f.NodeRegistered
    """by the operator, else as it describes itself"""
    described: f.NodeRegistered | None = None
    """what it says of itself"""
    by_operator: bool = False
    present: bool = False
    assignment: f.NodeAssigned | None = None

    @cached_property
    def sort(self) -> str:
        """Equal for nodes that differ in nothing that decides their work but their names."""
        now = (given := self.assignment) and (given.kinds, given.ticket_seconds, given.preempts)
        return encode((replace(self.registered, node=""), self.present, now)).decode()

    def reserved(self, minute: int) -> Kinds:
        """The kinds of work that it is reserved for at this minute."""
        item = self.registered
        return item.reserved_for if minute < item.reserved_until_minute else ()

    def allowed(self, minute: int, settings: SchedulingSettings) -> Kinds:
        """The kinds of work that the operator allows at this minute, and that fit into the memory
        of its GPU. A node that states none works on its cores."""
        kinds, memory = self.reserved(minute) or self.registered.kinds, self.registered.vram_gib
        least = settings.vram_gib
        if memory == 0.0 or memory >= max(least.training, least.evaluation, least.selfplay):
            return kinds
        needs: dict[str, float] = asdict(least)
        return tuple(kind for kind in kinds if memory >= needs[kind])

    def ticket_seconds(self, settings: SchedulingSettings) -> float:
        """Intended duration of a ticket."""
        ephemeral = self.registered.ephemeral
        seconds = settings.ticket_seconds_ephemeral if ephemeral else settings.ticket_seconds
        return min(max(seconds, TICKET_SECONDS_MIN), f.VALUE_MAX)

    def does(self, kind: f.WorkKind) -> bool:
        """Whether its newest assignment has this kind."""
        return self.assignment is not None and kind in self.assignment.kinds


class Alike(Struct, frozen=True, kw_only=True, eq=False):
    """Present nodes of one sort, the kinds of work that they may do, and the time of a game on one
    relative to the fleet's."""

    node: FleetNode
    """one of them"""
    names: list[str]
    allowed: Kinds
    slowness: float
    reserved: bool = False
    rented: bool = False
    late: Kinds = ()
    """the kinds of work that would not end before such a node goes"""

    @property
    def cost(self) -> float:
        """Of a game on one of them, relative to the others."""
        return self.node.registered.cost_per_hour * self.slowness


Placed = tuple[Alike, list[str], Kinds, str]
"""a group, those of its nodes that get these kinds, and the reason"""


@dataclass(frozen=True)
class Fleet:
    """The nodes that count, by sort: placing them takes as long as there are sorts, not nodes."""

    groups: list[Alike]
    settings: SchedulingSettings

    def assign(self, before: tuple[str, ...], trainers_min: int) -> Iterator[Placed]:
        """Kinds of every node and the reason; nodes in `before` go on training if they may."""
        if not self.settings.cost_aware:
            yield from ((one, one.names, one.allowed, "all it may do") for one in self.groups)
            return
        training, slow, mean = self.trainers(before, trainers_min), self.slow(), self._mean_cost()
        for group in self.groups:
            trains, others = training.intersection(group.names), group.names
            if trains:
                yield group, [*trains], *_kinds(group, True, group in slow)
                others = [name for name in others if name not in trains]
            if others:
                dear = self._dear(group, mean)
                yield group, others, *(dear or _kinds(group, False, group in slow))

    def trainers(self, before: tuple[str, ...], trainers_min: int) -> set[str]:
        """Nodes that train: those that may do nothing else, then the best of the others.

        As many as before, at least `trainers_min`. Better is not ephemeral, not slow, cheap (a node
        that trains already by a margin), then by name."""
        able = [group for group in self.groups if "training" in group.allowed]
        kept = {group: set(before).intersection(group.names) for group in able}
        only = {name for one in able if one.allowed == ("training",) for name in one.names}
        wanted = max(trainers_min, len(only.union(*kept.values()))) - len(only)
        rest = sorted((one for one in able if one.allowed != ("training",)), key=self._worth)
        # the margin keeps nodes of nearly equal cost from taking turns
        best = [(*self._worth(one, HYSTERESIS), name) for one in rest for name in kept[one]]
        others = (
            (*worth, name)
            for worth, equal in groupby(rest, key=self._worth)
            for name in sorted(n for one in equal for n in one.names if n not in kept[one])
        )
        best += islice(others, wanted)
        return only | {item[-1] for item in nsmallest(wanted, best)}

    def _worth(self, group: Alike, margin: float = 1.0) -> tuple[bool, bool, float]:
        slow = group.slowness * margin > self.settings.trainer_slowness_max
        return group.node.registered.ephemeral, slow, group.cost * margin

    def slow(self) -> set[Alike]:
        """Nodes that should play only; empty if no node would be left to evaluate."""
        able = {group for group in self.groups if "evaluation" in group.allowed}
        slow = {group for group in able if self._too_slow(group)}
        if not able > slow:
            return set()
        return {group for group in slow if "selfplay" in group.allowed and not group.reserved}

    def _too_slow(self, group: Alike) -> bool:
        only_plays = group.node.does("selfplay") and not group.node.does("evaluation")
        margin = HYSTERESIS if only_plays else 1.0
        return group.slowness > self.settings.evaluator_slowness_max * margin

    def _mean_cost(self) -> float:
        """Cost of a game on the nodes that may play."""
        play = [group for group in self.groups if "selfplay" in group.allowed]
        cost = sum(group.node.registered.cost_per_hour * len(group.names) for group in play)
        games = sum(len(group.names) / group.slowness for group in play)
        return cost / games if games else 0.0

    def _dear(self, group: Alike, mean: float) -> tuple[Kinds, str] | None:
        """Stand-by for nodes on which a game costs too much, and why; for none that is free,
        reserved or rented."""
        if "selfplay" not in group.allowed or group.reserved or group.rented or not mean:
            return None
        current = group.node.assignment
        margin = HYSTERESIS if current is not None and not current.kinds else 1.0
        ratio = group.cost / mean
        if ratio <= self.settings.cost_ratio_max * margin:
            return None
        return (), f"a game costs {ratio:.1f} times the fleet's mean"


def _kinds(group: Alike, trains: bool, slow: bool) -> tuple[Kinds, str]:
    left_out = {"evaluation" if slow else "", "" if trains else "training"}
    kinds = tuple(kind for kind in group.allowed if kind not in left_out)
    if trains:
        return kinds, "trains first"
    if slow:
        return kinds, "plays; matches would take too long"
    item = group.node.registered
    if group.late:
        return kinds, f"goes too soon for {' and '.join(group.late)}"
    if not group.allowed:
        return kinds, f"{item.vram_gib:g} GiB of VRAM are too little for its work"
    return kinds, "plays" if kinds else f"may only train; enough {item.accelerator} nodes do"
