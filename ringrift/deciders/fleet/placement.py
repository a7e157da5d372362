"""Which kinds of work suit each node? Kinds follow from the cost of a game on the node.

    reserved   the kinds that the operator reserved the node for, until then
    training   one node for every few configs: not ephemeral and not slow if possible, then cheapest
    stand-by   a node on which a game costs much more than the fleet's mean; it can be given back.
               What `fleet/renting.py` rented is not: that decides what is worth its cost
    the rest   evaluates and plays, a slow node only plays

Speeds are estimates, so every threshold has a hysteresis."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import asdict

from ringrift.events import facts as f
from ringrift.events.settings import SchedulingSettings

Kinds = tuple[f.WorkKind, ...]
STANDBY: Kinds = ()
HYSTERESIS = 0.85
"""factor on the cost of a node that trains, and on the threshold of a node on stand-by"""


class FleetNode(Struct, frozen=True, kw_only=True):
    """A node of the fleet, whether it is present, and its newest assignment."""

    registered: f.NodeRegistered
    """by the operator, else as it describes itself"""
    described: f.NodeRegistered | None = None
    """what it says of itself"""
    by_operator: bool = False
    present: bool = False
    assignment: f.NodeAssigned | None = None

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
        return settings.ticket_seconds_ephemeral if ephemeral else settings.ticket_seconds

    def does(self, kind: f.WorkKind) -> bool:
        """Whether its newest assignment has this kind."""
        return self.assignment is not None and kind in self.assignment.kinds


@dataclass(frozen=True)
class Fleet:
    """The nodes by name, the kinds that the present ones may do, those that are reserved, and the
    time of a game on each node relative to the fleet's."""

    nodes: dict[str, FleetNode]
    allowed: dict[str, Kinds]
    reserved: set[str]
    slowness: dict[str, float]
    settings: SchedulingSettings
    rented: frozenset[str] = frozenset()
    late: Mapping[str, Kinds] = field(default_factory=dict)
    """the kinds of work that would not end before a node goes"""

    def assign(self, before: tuple[str, ...], trainers_min: int) -> dict[str, tuple[Kinds, str]]:
        """Kinds of every node and the reason; nodes in `before` go on training if they may."""
        found = {name: (STANDBY, "absent") for name in self.nodes if name not in self.allowed}
        if not self.settings.cost_aware:
            return found | {name: (kinds, "all it may do") for name, kinds in self.allowed.items()}
        training = self.trainers(before, trainers_min)
        dear, slow = self.dear(training), self.slow()
        for name, kinds in self.allowed.items():
            if name in dear:
                found[name] = STANDBY, dear[name]
            else:
                found[name] = self._kinds(name, kinds, name in training, name in slow)
        return found

    def _kinds(self, name: str, allowed: Kinds, trains: bool, slow: bool) -> tuple[Kinds, str]:
        left_out = {"evaluation" if slow else "", "" if trains else "training"}
        kinds = tuple(kind for kind in allowed if kind not in left_out)
        if trains:
            return kinds, "trains first"
        if slow:
            return kinds, "plays; matches would take too long"
        item = self.nodes[name].registered
        if late := self.late.get(name):
            return kinds, f"goes too soon for {' and '.join(late)}"
        if not allowed:
            return kinds, f"{item.vram_gib:g} GiB of VRAM are too little for its work"
        return kinds, "plays" if kinds else f"may only train; enough {item.accelerator} nodes do"

    def trainers(self, before: tuple[str, ...], trainers_min: int) -> set[str]:
        """Nodes that train: those that may do nothing else, then the best of the others.

        As many as before, at least `trainers_min`. Better is not ephemeral, not slow, cheap (a node
        that trains already by a margin), then by name."""
        able = [name for name, kinds in self.allowed.items() if "training" in kinds]
        kept = {name for name in before if name in able}
        only = {name for name in able if self.allowed[name] == ("training",)}
        wanted = max(trainers_min, len(kept | only))

        def worth(name: str) -> tuple[bool, bool, float, str]:
            # the margin keeps nodes of nearly equal cost from taking turns
            item, margin = self.nodes[name].registered, HYSTERESIS if name in kept else 1.0
            slow = self.slowness[name] * margin > self.settings.trainer_slowness_max
            return item.ephemeral, slow, item.cost_per_hour * self.slowness[name] * margin, name

        return only | set(sorted(set(able) - only, key=worth)[: max(0, wanted - len(only))])

    def slow(self) -> set[str]:
        """Nodes that should play only; empty if no node would be left to evaluate."""
        able = {name for name, kinds in self.allowed.items() if "evaluation" in kinds}
        slow = {name for name in able if self._too_slow(name)}
        if not able > slow:
            return set()
        playing = {name for name in slow if "selfplay" in self.allowed[name]}
        return {name for name in playing if name not in self.reserved}

    def _too_slow(self, name: str) -> bool:
        node = self.nodes[name]
        only_plays = node.does("selfplay") and not node.does("evaluation")
        margin = HYSTERESIS if only_plays else 1.0
        return self.slowness[name] > self.settings.evaluator_slowness_max * margin

    def dear(self, training: set[str]) -> dict[str, str]:
        """Nodes on which a game costs too much, and why; none that is free, trains, is reserved or
        rented."""
        play = [name for name, kinds in self.allowed.items() if "selfplay" in kinds]
        if not play:
            return {}
        cost = {name: self.nodes[name].registered.cost_per_hour for name in play}
        mean = sum(cost.values()) / sum(1.0 / self.slowness[name] for name in play)
        found = {}
        for name in play:
            current = self.nodes[name].assignment
            margin = HYSTERESIS if current is not None and current.kinds == STANDBY else 1.0
            ratio = cost[name] * self.slowness[name] / mean if mean else 0.0
            too_dear = ratio > self.settings.cost_ratio_max * margin
            if too_dear and name not in training | self.reserved | self.rented:
                found[name] = f"a game costs {ratio:.1f} times the fleet's mean"
        return found
