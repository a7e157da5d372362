"""Plans what to play, train and measure: four deciders under one lease."""

from __future__ import annotations

from ringrift.consumers.deciding import act
from ringrift.consumers.process import Process, run
from ringrift.domain import evaluation, retention, selfplay, training


async def main(process: Process) -> None:
    """Act as the planner while this process holds the lease, stand by otherwise."""
    await act(process, (selfplay.DECIDER, training.DECIDER, evaluation.DECIDER, retention.DECIDER), role="planner")


if __name__ == "__main__":
    run("planner", main)
