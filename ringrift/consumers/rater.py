"""Rates the participants of each evaluation; needs no lease, the log settles who writes."""

from __future__ import annotations

from ringrift.runtime.decide import act
from ringrift.runtime.process import Process, run
from ringrift.runtime.processes import PROCESSES


async def main(process: Process) -> None:
    """Keep the rating tables up to date."""
    await act(process, PROCESSES["rater"].deciders, role=None)


if __name__ == "__main__":
    run("rater", main)
