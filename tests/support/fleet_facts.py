"""Facts of a fleet of nodes, for the tests of what each node does."""

from __future__ import annotations

from ringrift.events.facts import NodeRegistered, SelfplayFinished
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
