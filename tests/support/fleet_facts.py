"""Facts of a fleet of nodes, for the tests of what each node does."""

from __future__ import annotations

from ringrift.events.facts import NodePresenceChanged, NodeRegistered, SelfplayFinished
from support.loop_facts import fresh

HEX = "hex8_2p"


EVERYTHING = ("training", "evaluation", "selfplay")


PLAYS = ("evaluation", "selfplay")


def node(name: str, cost: float = 1.0, speed: float = 1.0, **changes) -> NodeRegistered:
    fields = {
        "provider": "p",
        "accelerator": name.rstrip("0123456789"),
        "vram_gib": 24.0,
        **changes,
    }
    return NodeRegistered(node=name, cost_per_hour=cost, speed=speed, **fields)


def seen(name: str, present: bool = True, *, left: bool = False) -> NodePresenceChanged:
    return NodePresenceChanged(
        node=name, present=present, left=left, silent_seconds=0.0, processes=int(present)
    )


NAMES = ("a", "a1", "a2", "a3", "b", "s1", "spot", "dear", "cheap", "own", "slow", "only", "kept")
ALL_SEEN = tuple(map(seen, (*NAMES, *(f"n{number}" for number in range(12)))))
"""the nodes that tests register send heartbeats"""


def finished(where: str, games: int, seconds: float) -> SelfplayFinished:
    return SelfplayFinished(
        config=HEX,
        generation=0,
        ticket=fresh(),
        games=games,
        plies=1,
        play_seconds=seconds,
        node=where,
    )


def assigned(life) -> dict[str, tuple[str, ...]]:
    return {name: item.assignment.kinds for name, item in life.state.nodes.items()}
