"""Rates everyone after each evaluation; needs no lease, the log settles who writes."""

from __future__ import annotations

from ringrift.deciders.loop import rating as elo
from ringrift.runtime.decide import act
from ringrift.runtime.process import Process, run


async def main(process: Process) -> None:
    """Keep the rating tables up to date."""
    await act(process, (elo.DECIDER,), role=None)


if __name__ == "__main__":
    run("rater", main)
