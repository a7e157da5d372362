"""The matches of a config by the node that played them, so that a table of ratings can be made
without some nodes: what ratings lead to should not be the word of one."""

from collections.abc import Iterator, Mapping
from itertools import combinations

from ringrift.deciders.kit import Context, Fold, Struct, replace
from ringrift.deciders.loop import rating
from ringrift.deciders.loop.rating import Elo, Matches, table
from ringrift.deciders.loop.split import NODES_MAX, liars_max
from ringrift.events import facts as f


class ByNode(Struct, frozen=True, kw_only=True):
    """All matches, and those of each node; imported ones are of none."""

    whole: Elo = Elo()
    nodes: dict[str, dict[str, int]] = {}

    def liars_max(self, evaluators: int) -> int:
        """f: how many of the nodes that played need not be believed."""
        return liars_max(min(evaluators, len(self.nodes)))


BY_NODE = Fold(ByNode)


@BY_NODE.evolves
def scored(value: ByNode, fact: f.Score, context: Context) -> ByNode:
    whole = rating.scored(value.whole, fact, context)
    counts = whole.games != value.whole.games
    if not counts or (fact.node not in value.nodes and len(value.nodes) >= NODES_MAX):
        return replace(value, whole=whole)
    played = rating.counted(value.nodes.get(fact.node, {}), fact.rankings, 1)
    return replace(value, whole=whole, nodes=value.nodes | {fact.node: played})


@BY_NODE.evolves
def retracted(value: ByNode, fact: f.GamesRetracted) -> ByNode:
    value = replace(value, whole=rating.retracted(value.whole, fact))
    if fact.node not in value.nodes:  # a node is then left out with more games than it has
        return value
    played = rating.counted(value.nodes[fact.node], fact.rankings, -1)
    return replace(value, nodes=value.nodes | {fact.node: played})


@BY_NODE.evolves
def imported(value: ByNode, fact: f.MatchesImported) -> ByNode:
    return replace(value, whole=rating.imported(value.whole, fact))


@BY_NODE.evolves
def imports_retracted(value: ByNode, fact: f.MatchesRetracted) -> ByNode:
    return replace(value, whole=rating.imports_retracted(value.whole, fact))


def tables_without(
    value: ByNode, most: int, config: str, current: str, simulations: int
) -> Iterator[f.RatingsUpdated]:
    """The tables without any `most` of `3 * most + 1` groups of nodes, relative to the current
    network; none if `most` is 0. One of them lacks every liar."""
    nodes, count = list(value.nodes.values()), 3 * most + 1
    for left_out in combinations(range(count), most) if most else ():
        gone = [played for number in left_out for played in nodes[number::count]]
        elo = Elo(rankings=_without(value.whole.rankings, gone), current=current)
        name = f"{current[:12]}:gumbel:s{simulations}"
        yield table(Matches(configs={config: elo}, anchor=name, simulations=simulations), config)


def _without(rankings: Mapping[str, int], gone: list[dict[str, int]]) -> dict[str, int]:
    left = {name: n - sum(part.get(name, 0) for part in gone) for name, n in rankings.items()}
    return {name: count for name, count in left.items() if count > 0}
