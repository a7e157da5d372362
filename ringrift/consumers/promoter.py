"""Promotes candidates or rejects them, under a lease."""

from __future__ import annotations

from ringrift.runtime.decide import act
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.run import run


async def main(process: Process) -> None:
    """Decide as the promoter while this process holds the lease; stand by otherwise."""
    await act(process, PROCESSES["promoter"].deciders, role="promoter")


if __name__ == "__main__":
    run("promoter", main)
