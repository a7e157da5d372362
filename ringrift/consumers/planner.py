"""Plans what to play, train and measure: four deciders under one lease."""

from __future__ import annotations

from ringrift.deciders.loop import evaluation, retention, selfplay, training
from ringrift.runtime.decide import act
from ringrift.runtime.process import Process, run


async def main(process: Process) -> None:
    """Act as the planner while this process holds the lease, stand by otherwise."""
    await act(
        process,
        (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, retention.DECIDER),
        role="planner",
    )


if __name__ == "__main__":
    run("planner", main)
