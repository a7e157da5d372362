"""Rates everyone after each evaluation; needs no lease, the log settles who writes."""

from __future__ import annotations

from ringrift.consumers.deciding import act
from ringrift.consumers.process import Process, run
from ringrift.domain import elo


async def main(process: Process) -> None:
    """Keep the rating tables up to date."""
    await act(process, (elo.DECIDER,), role=None)


if __name__ == "__main__":
    run("rater", main)
