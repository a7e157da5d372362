"""Promotes candidates or rejects them, under a lease."""

from __future__ import annotations

from ringrift.runtime.decide import act
from ringrift.runtime.process import Process, run
from ringrift.runtime.processes import PROCESSES


async def main(process: Process) -> None:
    """Act as the promoter while this process holds the lease, stand by otherwise."""
    await act(process, PROCESSES["promoter"].deciders, role="promoter")


if __name__ == "__main__":
    run("promoter", main)
