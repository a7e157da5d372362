"""Promotes candidates or rejects them, under a lease."""

from __future__ import annotations

from ringrift.consumers.deciding import act
from ringrift.consumers.process import Process, run
from ringrift.domain import promotion


async def main(process: Process) -> None:
    """Act as the promoter while this process holds the lease, stand by otherwise."""
    await act(process, (promotion.DECIDER,), role="promoter")


if __name__ == "__main__":
    run("promoter", main)
