"""Plans what to play, train and evaluate, under a lease."""

from __future__ import annotations

from ringrift.runtime.decide import act
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.run import run


async def main(process: Process) -> None:
    """Decide as the planner while this process holds the lease; stand by otherwise."""
    await act(process, PROCESSES["planner"].deciders, role="planner")


if __name__ == "__main__":
    run("planner", main)
