"""The candidates on trial, as far as their matches are concerned, and how long each match is."""

import math
from datetime import datetime
from itertools import pairwise

from ringrift.deciders.feedback.experiments import Arms
from ringrift.deciders.fleet.durations import TICKET_SECONDS, Spread
from ringrift.deciders.kit import Configs, Struct, replace
from ringrift.deciders.loop.repeats import Failures, Retest
from ringrift.deciders.loop.split import ByNode, combined, liars_max, tickets_of_round
from ringrift.deciders.loop.tournament import Tournament
from ringrift.deciders.loop.verdict import First
from ringrift.events import Settings, facts as f

GENERATIONS_MAX = 16
"""networks that were current whose generation is remembered: one may be current again"""
ROUND_TICKETS_MAX = 4
"""tickets of a round: small matches leave an accelerator idle, and each ticket counts as one that
waits"""
STARTS_FACTOR = 4
"""on `promotion.starts_max`: starts of a split trial by too few nodes until its rounds are rare"""
BASELINE_STARTS_MIN = 8
"""of a new network, however long its games are"""


class Trial(Struct, frozen=True, kw_only=True):
    """A candidate: its rival, the tickets that were requested and answered, and their results."""

    generation: int
    rival: str | None = None
    """none of a first network, which is judged by its match against a baseline"""
    adopted: bool = False
    """from another config"""
    rounds: int = 0
    """tickets of all rounds so far"""
    answered: int = 0
    due: int = 0
    """answers at which the newest round is over"""
    split: int = 0
    """tickets of the newest round if several nodes play them (`ringrift.deciders.loop.split`)"""
    results: ByNode = {}
    baselines: bool = False
    """the matches against the baselines were requested"""

    @property
    def purpose(self) -> f.Purpose:
        """The matches by which it is judged."""
        return self.first or "promotion"

    @property
    def first(self) -> First:
        """The baseline by which a first network is judged."""
        baseline: First = "heuristic" if self.adopted else "random"
        return "" if self.rival else baseline

    def asked(self, split: int) -> "Trial":
        """The trial with one more ticket: a round is over once all are answered, or all but f of a
        split one."""
        over, due = self.answered >= self.due, self.due
        if not split:
            due = max(self.answered, due) + 1
        elif over:
            due = self.answered + split - liars_max(split)
        return replace(self, rounds=self.rounds + 1, due=due, split=split)

    def is_due(self, config: str, settings: Settings, now: datetime) -> bool:
        """Whether another round is needed now; only every half hour after many that too few nodes
        answered, since more of the same decide nothing."""
        if self.answered < self.due:
            return False
        starts = sum(one.starts for one in self.results.values())
        few = self.split and len(self.results) <= 2 * liars_max(self.split)
        if few and starts >= STARTS_FACTOR * settings.promotion.starts_max and now.minute % 30:
            return False
        if not self.results:
            return True
        first, test = self.first, settings.promotion
        verdict, _, _ = combined(self.results, self.split, test, first=first, config=config)
        return verdict == "open"


class Evaluator(Struct, frozen=True, kw_only=True):
    """A node, and what says whether it evaluates: an assignment goes before what it says."""

    present: bool = False
    described: bool = False
    assigned: bool | None = None
    quarantined: bool = False

    @property
    def counts(self) -> bool:
        """Whether it may be asked to evaluate now."""
        does = self.described if self.assigned is None else self.assigned
        return self.present and does and not self.quarantined


class Evaluation(Struct, frozen=True, kw_only=True):
    """The current network of a config and the candidates on trial, by digest."""

    current: str | None = None
    trials: dict[str, Trial] = {}
    retests: dict[str, Retest] = {}
    failures: Failures = Failures()
    tournament: Tournament = Tournament()
    arms: Arms = Arms()
    left_out: tuple[str, ...] = ()
    """tickets that were retracted before they were scored"""
    tickets: tuple[str, ...] = ()
    """answered"""
    counted: tuple[str, ...] = ()
    """tickets whose scores count, or were refuted"""
    seconds: Spread = Spread()
    """of a game of a match on a node"""
    selfplay: Spread = Spread()
    """seconds of a game of self-play"""
    architectures: dict[str, str] = {}
    """of all networks"""
    generations: dict[str, int] = {}
    """of the networks that were current, the newest `GENERATIONS_MAX`"""
    measured_at: datetime | None = None
    """when the current network last played a baseline, or became current"""


class Evaluations(Configs[Evaluation], frozen=True, kw_only=True):
    """Every config that has a network, and the matches that wait."""

    waiting: int = 0
    held_back: bool = False
    """trainings are, since too many matches wait"""
    evaluators: dict[str, float] = {}
    """registered nodes that evaluate, with the seconds that a ticket on them should take"""
    nodes: dict[str, Evaluator] = {}
    counting: int = 0
    """nodes that count, so that no event needs a look at all of them"""

    def tickets(self, settings: Settings) -> int:
        """Tickets of a round of a split trial, 0 with too few evaluators."""
        return tickets_of_round(self.counting, settings.evaluation.evaluators)

    def noted(self, node: str, **changes: bool) -> "Evaluations":
        """The state with these changes to what is known of a node."""
        before = self.nodes.get(node, Evaluator())
        known = replace(before, **changes)
        counting = self.counting + known.counts - before.counts
        return replace(self, nodes=self.nodes | {node: known}, counting=counting)


def round_starts(
    state: Evaluations, config: str, settings: Settings, starts: int | None = None, split: int = 0
) -> tuple[int, ...]:
    """Starts of each ticket of a round of `starts`: in as few tickets as most workers finish in the
    time that a ticket should take. Any node may take any ticket, so all are alike.

    A split round has so many tickets, and as many starts as remain without those of f nodes."""
    starts = settings.evaluation.starts_per_ticket if starts is None else starts
    game = state.configs.get(config, Evaluation()).seconds
    seconds = starts * f.seats_of(config) * game.careful if game.count else 0.0
    wanted = math.ceil(seconds / min(state.evaluators.values(), default=TICKET_SECONDS))
    if split:
        each = math.ceil(starts / max(split - liars_max(split), min(wanted, starts)))
        return (each,) * split
    tickets = min(max(wanted, 1), ROUND_TICKETS_MAX, starts)
    ends = [starts * number // tickets for number in range(tickets + 1)]
    return tuple(end - start for start, end in pairwise(ends))


def baseline_starts(item: Evaluation, config: str, generation: int, settings: Settings) -> int:
    """Starts of a new network against each baseline: for each generation as many more as take
    `baseline_seconds`, until they are `baseline_starts`."""
    most, game = settings.evaluation.baseline_starts, item.seconds
    if not game.count:
        game = item.selfplay
    seconds = max(f.seats_of(config) * game.mean, 1e-9)
    affordable = generation * settings.evaluation.baseline_seconds / seconds
    return int(min(most, max(BASELINE_STARTS_MIN, affordable)))
