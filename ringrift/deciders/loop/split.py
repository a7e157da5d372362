"""Which verdict do results of several nodes give? With four evaluators or more, one that no f of
3f + 1 can decide.

A trial is then split: evaluators on different nodes play tickets of each round. Their results are
put into 3f + 1 groups, all results of a node into the same one, and a verdict counts only if it
stands without any f groups. One of these sets lacks every liar, so the honest results alone give
the same verdict. f silent nodes do not delay it: results of 2f + 1 nodes suffice. At the cap, where
the sets may disagree, the median of the groups decides, which lies between honest ones; a first
network is promoted only if that is beyond doubt.

A node whose score is incompatible with those of more than f others, at least one of which is
honest, is named, and its results are left out."""

import math
from collections.abc import Iterable, Mapping
from itertools import combinations
from statistics import median

from ringrift.deciders.kit import Struct, replace
from ringrift.deciders.loop.verdict import (
    ADOPTED_STARTS,
    FIRST_SCORE_MIN,
    First,
    Scores,
    Verdict,
    first_limit,
    judge,
    merged,
)
from ringrift.events import facts as f
from ringrift.events.settings import PromotionSettings

EVALUATORS_MIN = 4
"""of fewer none may be a liar"""
INCOMPATIBLE_Z = 3.29
"""standard errors between the scores of two nodes that noise does not explain: two-sided p = 0.001.
The variance is that of games without draws, the largest that a score between 0 and 1 can have"""
NODES_MAX = 64
"""nodes whose results count in a trial; a tenth of them decide it"""
UNATTESTED = f"unattested: fewer than {EVALUATORS_MIN} evaluators"


class Results(Struct, frozen=True, kw_only=True):
    """Results of a trial by one node, or by several."""

    scores: Scores = ()
    games: int = 0

    @property
    def starts(self) -> int:
        """Number of starts."""
        return sum(count for _, count in self.scores)

    @property
    def score(self) -> float:
        """Mean score of the candidate."""
        return math.fsum(value * count for value, count in self.scores) / self.starts


ByNode = dict[str, Results]


def tickets_of_round(evaluators: int, wanted: int) -> int:
    """Tickets of a round of a split trial: the largest 3f + 1 that is neither more than the present
    evaluators nor than wanted; 0 if a trial is not split."""
    most = min(evaluators, wanted)
    return most - (most - 1) % 3 if most >= EVALUATORS_MIN else 0


def liars_max(tickets: int) -> int:
    """f: how many nodes cannot decide a trial with rounds of so many tickets."""
    return max(tickets - 1, 0) // 3


def after(results: ByNode, fact: f.Score) -> ByNode:
    """Results by node once one more is known."""
    if fact.node not in results and len(results) >= NODES_MAX:
        return results
    old = results.get(fact.node, Results())
    scores, games = merged(old.scores, fact.scores), old.games + fact.games
    return results | {fact.node: replace(old, scores=scores, games=games)}


def incompatible(one: Results, other: Results) -> bool:
    """Whether noise does not explain the difference of two scores (z test of two proportions)."""
    starts = one.starts + other.starts
    mean = (one.score * one.starts + other.score * other.starts) / starts
    error = math.sqrt(mean * (1.0 - mean) * starts / (one.starts * other.starts))
    return abs(one.score - other.score) > INCOMPATIBLE_Z * error


def contradicted(results: Mapping[str, Results], tickets: int) -> dict[str, tuple[str, ...]]:
    """The nodes that more others contradict than may lie, and by whom."""
    if not (most := liars_max(tickets)):
        return {}
    found = {
        node: tuple(name for name, other in results.items() if incompatible(one, other))
        for node, one in results.items()
    }
    return {node: names for node, names in found.items() if len(names) > most}


def combined(
    results: Mapping[str, Results],
    tickets: int,
    settings: PromotionSettings,
    *,
    first: First,
    config: str,
) -> tuple[Verdict, f.Evidence, str]:
    """Verdict, evidence and reason for the results of all nodes (`judge`)."""
    most, left_out = liars_max(tickets), contradicted(results, tickets)
    kept = {node: one for node, one in results.items() if node not in left_out} or dict(results)
    whole = _together(kept.values())
    verdict, evidence, why = judge(whole.scores, whole.games, settings, first=first, config=config)
    evidence = replace(evidence, evaluators=tuple(kept), liars_max=most)
    if not most:
        return verdict, evidence, f"{why}; {UNATTESTED}" if why else why
    groups = _groups(kept, tickets)
    if len(results) <= 2 * most or len(groups) <= most:
        return "open", evidence, ""
    # a network of another config is an offer: it is not worth more games than these
    enough = ADOPTED_STARTS if first == "heuristic" else settings.starts_max
    verdicts, starts = set[Verdict](), whole.starts
    for rest in combinations(groups, len(groups) - most):
        part = _together(rest)
        one, _, _ = judge(part.scores, part.games, settings, first=first, config=config)
        if one == "open" or (first and one == "reject" and part.starts < enough):
            return "open", evidence, ""  # few starts prove nothing for a first network
        verdicts.add(one)
        starts = min(starts, part.starts)
    same = f"the same without any {most} of {len(kept)} evaluators"
    if len(verdicts) == 1:
        (found,) = verdicts
        reason = why if verdict == found else f"{evidence.score:.1%} of {whole.games} games"
        return found, evidence, f"{reason}; {same}"
    if starts < enough:
        return "open", evidence, ""
    middle = median(group.score for group in _groups(results, tickets))
    why = f"undecided after {whole.starts} starts: the median of {len(results)} evaluators"
    if first:
        least = first_limit(middle, starts, first, config)
        passed, limit = least > FIRST_SCORE_MIN, f"at least {least:.1%} with 95 % confidence"
    else:
        passed = middle >= settings.score_at_cap
        limit = f"{'reaches' if passed else 'is below'} {settings.score_at_cap:.1%}"
    return "promote" if passed else "reject", evidence, f"{why}, {middle:.1%}, {limit}"


def _groups(results: Mapping[str, Results], tickets: int) -> list[Results]:
    """As many groups of nodes as a round has tickets; each node is in one."""
    nodes = list(results.values())
    return [_together(nodes[number::tickets]) for number in range(min(tickets, len(nodes)))]


def _together(parts: Iterable[Results]) -> Results:
    whole = Results()
    for one in parts:
        scores, games = merged(whole.scores, one.scores), whole.games + one.games
        whole = Results(scores=scores, games=games)
    return whole
