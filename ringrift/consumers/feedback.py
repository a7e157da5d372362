"""Turns what happened into what should change: the feedback deciders under one lease."""

from __future__ import annotations

from ringrift.deciders.feedback import (
    architectures,
    curriculum,
    exploration,
    loss,
    quality,
    regression,
    scheduling,
    tuning,
    velocity,
)
from ringrift.deciders.feedback import deadlock as waiting
from ringrift.deciders.fleet import ageing
from ringrift.deciders.fleet import assignment as fleet
from ringrift.deciders.loop import retraction
from ringrift.runtime.decide import act
from ringrift.runtime.process import Process, run

DECIDERS = (
    loss.DECIDER,
    quality.DECIDER,
    velocity.DECIDER,
    regression.DECIDER,
    exploration.DECIDER,
    curriculum.DECIDER,
    scheduling.DECIDER,
    architectures.DECIDER,
    fleet.DECIDER,
    ageing.DECIDER,
    waiting.DECIDER,
    retraction.DECIDER,
    tuning.DECIDER,
)


async def main(process: Process) -> None:
    """Act while this process holds the lease, stand by otherwise."""
    await act(process, DECIDERS, role="feedback")


if __name__ == "__main__":
    run("feedback", main)
