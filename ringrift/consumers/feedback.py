"""Decides what self-play, training and the fleet should do differently, under a lease."""

from __future__ import annotations

from ringrift.runtime.decide import act
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.run import run


async def main(process: Process) -> None:
    """Decide while this process holds the lease; stand by otherwise."""
    await act(process, PROCESSES["feedback"].deciders, role="feedback")


if __name__ == "__main__":
    run("feedback", main)
