"""Who runs, writes and reads what, by the table of processes."""

from typing import Any

from ringrift.deciders.kit import Decider
from ringrift.events import Fact
from ringrift.events.facts import PreemptionNoticed, ProcessRestarted
from ringrift.runtime.processes import COMMANDS, PROCESSES, WRITTEN_BY_COMMANDS

NODE = "node"
"""name of `ringrift node run` among writers"""
WRITTEN_BY_NODES = (PreemptionNoticed, ProcessRestarted)


def deciders() -> dict[str, Decider[Any]]:
    """Every decider of a running system by name, in the order of the table."""
    return {decider.name: decider for spec in PROCESSES.values() for decider in spec.deciders}


def runners(decider: str) -> list[str]:
    """Names of the processes that run a decider."""
    return [
        spec.name for spec in PROCESSES.values() if decider in (one.name for one in spec.deciders)
    ]


def writers(kind: type[Fact]) -> list[str]:
    """Names of the processes that write facts of a kind, and `ringrift` if a command does."""
    if kind in WRITTEN_BY_NODES:
        return [NODE]
    names = [spec.name for spec in PROCESSES.values() if kind in spec.writes]
    return [*names, COMMANDS] if kind in WRITTEN_BY_COMMANDS else names


def readers(kind: type[Fact]) -> list[str]:
    """Names of the processes that read facts of a kind."""
    return [spec.name for spec in PROCESSES.values() if kind in spec.reads]
