"""A simulated fleet: its log, its deciders, its queue, its nodes, and its true state."""

from collections import defaultdict
from dataclasses import dataclass, field

from ringrift.cluster.fleet_file import FleetNode
from ringrift.events import Fact, Settings
from ringrift.tools.simulation.coordinator import Coordinator, SimulatedLog
from ringrift.tools.simulation.fault_plan import Fault, What
from ringrift.tools.simulation.nodes import SimulatedNode
from ringrift.tools.simulation.work_queue import WorkQueue
from ringrift.tools.simulation.world import World


@dataclass(kw_only=True)
class Sample:
    """The system at one moment, for tables and plots. Values are sums since the beginning unless
    they say now."""

    hours: float
    games: dict[str, int]
    elo: dict[str, float]
    """True strength of the incumbent of each config, now."""
    waiting: dict[str, int]
    """Tickets by kind, now."""
    kept_back: dict[str, int]
    """Tickets by kind that are not on the queue though a node is free that does such work, now."""
    stored: int
    """Tickets on the queue, those in work included, now."""
    busy: int
    """Nodes at work, now."""
    rented: int
    """Nodes that cost, now."""
    busy_seconds: float
    paid_seconds: float
    cost: float
    reference_seconds: float


@dataclass(kw_only=True)
class Books:
    """The true state, of which the deciders learn only a part: games played and strengths of
    networks."""

    games: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Self-play games by config."""
    learnt: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Games that teach, by config: poor ones teach nothing."""
    strength: dict[str, float] = field(default_factory=dict)
    narrow: dict[str, str] = field(default_factory=dict)
    """By network that overfits an opponent, the only network that it beats."""
    current: dict[str, str] = field(default_factory=dict)
    """Incumbent by config."""
    adopted: dict[str, str] = field(default_factory=dict)
    """By config, the network of another config that it may begin with. It is worth there what it is
    worth at home: of one that won 77 % of its games against the heuristic on hex8_2p, 84 % on
    hexagonal_2p (docs/experiments.md)."""
    unexported: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    untaught: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Those of them that were played against baselines."""
    shards: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reference_seconds: float = 0.0
    """Time that all games, matches included, would have taken at speed 1: games of all configs in
    one number."""
    sequence: int = 0
    """Last sequence in `GAMES`."""
    forged_among: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Games by node among which it forges some."""
    audited: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    dead_letters: int = 0
    """Last sequence in `DEAD`."""


class Fleet(World):
    """A fleet that `simulate` has run or is running."""

    def __init__(
        self,
        nodes: tuple[FleetNode, ...],
        settings: Settings,
        hours: float,
        *,
        seed: int,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        super().__init__(seed)
        self.settings, self.hours, self.faults = settings, hours, faults
        self.log, self.queue, self.books = SimulatedLog(self.clock), WorkQueue(), Books()
        self.coordinator = Coordinator(self.log)
        self.nodes = {node.fact.node: SimulatedNode(info=node) for node in nodes}
        self.idle = {**self.nodes}
        """nodes without a ticket"""
        self.samples: list[Sample] = []

    def write(
        self, fact: Fact, *, cause: str | None = None, key: str | int = 0, source: str = "simulator"
    ) -> bool:
        """Append a fact; False if it is stored already."""
        return self.log.append(fact, source=source, cause=cause, key=key) is not None

    def suffers(self, what: What, config: str | None = None) -> bool:
        """Whether a fault of this kind, of this config if it has one, lasts now."""
        return any(
            fault.what == what and fault.on(self.clock.seconds) and fault.config in (None, config)
            for fault in self.faults
        )
