"""Turns what happened into what should change: the feedback deciders under one lease."""

from __future__ import annotations

from ringrift.consumers.deciding import act
from ringrift.consumers.process import Process, run
from ringrift.domain import (
    ageing,
    architectures,
    curriculum,
    exploration,
    fleet,
    loss,
    quality,
    regression,
    retraction,
    scheduling,
    tuning,
    velocity,
    waiting,
)

DECIDERS = (
    loss.DECIDER, quality.DECIDER, velocity.DECIDER, regression.DECIDER, exploration.DECIDER, curriculum.DECIDER,
    scheduling.DECIDER, architectures.DECIDER, fleet.DECIDER, ageing.DECIDER, waiting.DECIDER, retraction.DECIDER,
    tuning.DECIDER,
)  # fmt: skip


async def main(process: Process) -> None:
    """Act while this process holds the lease, stand by otherwise."""
    await act(process, DECIDERS, role="feedback")


if __name__ == "__main__":
    run("feedback", main)
