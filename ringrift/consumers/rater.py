"""Rates the participants of each evaluation. Several raters may run without a lease: optimistic
concurrency control on the log resolves conflicts."""

from __future__ import annotations

from ringrift.runtime.decide import act
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.run import run


async def main(process: Process) -> None:
    """Keep the rating tables up to date."""
    await act(process, PROCESSES["rater"].deciders, role=None)


if __name__ == "__main__":
    run("rater", main)
