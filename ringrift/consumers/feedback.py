"""Decides what self-play, training and the fleet should do differently, under a lease, and retracts
the games of nodes that were quarantined, and those that another implementation of the rules
rejects."""

from functools import partial

from ringrift.errors import CommandError
from ringrift.events.facts import GamesRetracted, NodeQuarantined, ParityRejected
from ringrift.log import read
from ringrift.log.topology import EVENTS
from ringrift.runtime.decide import act
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.retract import Selection, retract
from ringrift.runtime.run import run

WHY_CHARS_MAX = 2_000


async def main(process: Process) -> None:
    """Decide and retract while this process holds the lease; stand by otherwise."""
    jobs = {"retractions": partial(_retract_doubtful, process)}
    deciders = PROCESSES["feedback"].deciders
    await act(process, deciders, role="feedback", jobs=lambda process, fence: jobs)


async def _retract_doubtful(process: Process) -> None:
    """Retract, once, the games of each quarantined node since it was clean, and each game whose
    rules are in doubt."""
    log = process.log
    tail = await log.tail(EVENTS)
    done = {meta.cause async for _, meta in read.facts(log, GamesRetracted, until=tail)}
    async for fact, meta in read.follow(log, NodeQuarantined, ParityRejected):
        if meta.position in done or not isinstance(fact, NodeQuarantined | ParityRejected):
            continue
        asked = _selection(fact)
        try:
            for found in await retract(log, asked, process.source, cause=meta.position):
                what = {"config": found.config, "games": found.count}
                process.logger.warning("games retracted", cause=meta.position, **what)
        except CommandError as error:  # it has no games since then
            process.logger.info("no games retracted", node=fact.node, why=str(error))


def _selection(fact: NodeQuarantined | ParityRejected) -> Selection:
    if isinstance(fact, NodeQuarantined):
        why = f"node {fact.node} is quarantined: {fact.why}"[:WHY_CHARS_MAX]
        return Selection(node=fact.node, first_seq=fact.clean_seq + 1, why=why)
    why = f"{fact.command} rejects it: {fact.reason}"[:WHY_CHARS_MAX]
    seq = fact.game_seq
    return Selection(config=fact.config, first_seq=seq, last_seq=seq, why=why)


if __name__ == "__main__":
    run("feedback", main)
