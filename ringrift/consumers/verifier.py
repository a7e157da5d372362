"""Verifies the log all the time, under a lease: what is new within a minute, everything once a day.

It recounts every score as soon as it is written, if the setting `evaluation.recount` or
`trust.required` is on, and records authors that contradict themselves.

Every verifier, the standby ones included, records tree heads of what it reads and attests
promotions that it derives too.

What it finds is a fact, a metric and an alert. The whole log is compared at a bounded share of a
core; a new run begins a day after the last one, while what is new is still compared."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from msgspec.structs import replace

from ringrift.consumers.verification.equivocation import keep_watching
from ringrift.consumers.verification.recount import keep_recounting
from ringrift.consumers.verification.report import Problem, VerifyReport
from ringrift.consumers.verification.whole import Verification, at_once
from ringrift.events.facts import VerificationFailed, VerificationPassed
from ringrift.log import marks
from ringrift.log.errors import ConcurrencyError, LeaseLost
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.process import Drained, Job, Process
from ringrift.runtime.run import run
from ringrift.trust.attesting import Attestor
from ringrift.trust.heads import HEAD_SECONDS, HeadWriter

ROUND_SECONDS = 20.0
"""Between two looks at what is new. Events are compared one round later, because decisions on them
take a moment."""
WHOLE_SECONDS = 24 * 3600.0
CORE_SHARE = 0.1
"""Of a core, for a comparison of everything."""
FOUND_MAX, TEXT_MAX = 20, 300
"""Problems that a fact describes, and characters of each."""


async def main(process: Process) -> None:
    """Verify while this process holds the lease; stand by otherwise. Record tree heads always."""
    async with process.background({"tree heads": lambda: _testify(process)}):
        await _verify_or_stand_by(process)


async def _testify(process: Process) -> None:
    """Record tree heads, and attest promotions, until the process stops."""
    heads, attestor = HeadWriter(process), Attestor(process)
    while not process.stopping:
        for item in [*await heads.round(), *await attestor.round(heads)]:
            await process.log.append([item])
        await process.wait(HEAD_SECONDS)


async def _verify_or_stand_by(process: Process) -> None:
    while not process.stopping:
        try:
            async with (
                process.lease("verifier") as lease,
                process.background(_jobs(process, lease.expect)),
            ):
                await _keep_verifying(process, lease.expect)
        except (ConcurrencyError, LeaseLost) as error:
            process.logger.warning("overtaken", role="verifier", error=str(error))
        except Drained:
            return


def _jobs(process: Process, fence: Expect) -> Mapping[str, Job]:
    return {
        "recounts": lambda: keep_recounting(process, fence),
        "equivocations": lambda: keep_watching(process, fence),
    }


async def _keep_verifying(process: Process, fence: Expect) -> None:
    verified = await _whole(process, fence)
    while not process.stopping:
        again = asyncio.create_task(_after_a_day(process, fence))
        try:
            await _follow(process, fence, verified, again)
            if not process.stopping:
                verified = await again
        finally:
            again.cancel()
            await asyncio.gather(again, return_exceptions=True)


async def _after_a_day(process: Process, fence: Expect) -> Verification:
    await process.wait(WHOLE_SECONDS)
    return await _whole(process, fence)


async def _whole(process: Process, fence: Expect) -> Verification:
    """Compare everything up to now."""
    process.doing = "verifying everything"
    pace = share_of_core(process)
    mark = await marks.newest(process.log)
    verified = Verification(process.log, process.presence, mark, pace)
    settled = await process.log.tail(EVENTS)
    await process.wait(ROUND_SECONDS)  # decisions on the newest events take a moment
    await verified.advance(settled)
    await verified.stores()
    report = verified.report()
    await _tell(process, fence, report, whole=True)
    if report.sound:
        await marks.store(process.log, verified.mark())
    return verified


async def _follow(
    process: Process, fence: Expect, verified: Verification, end: asyncio.Future[Verification]
) -> None:
    """Compare what is new, round by round, until `end` is done or the process stops."""
    process.doing = "verifying what is new"
    verified.pace = at_once
    told: set[Problem] = set()
    settled = await process.log.tail(EVENTS)
    while not process.stopping and not end.done():
        await process.wait(ROUND_SECONDS)
        tail = await process.log.tail(EVENTS)
        await verified.advance(settled)
        report, settled = verified.report(), tail
        if report.sound:
            await marks.store(process.log, verified.mark())
        # what differs in every round, such as a fold, is reported once
        elif new := [item for item in report.problems if item not in told]:
            told.update(new)
            await _tell(process, fence, replace(report, problems=new), whole=False)


async def _tell(process: Process, fence: Expect, report: VerifyReport, *, whole: bool) -> None:
    failed = [item for item in report.problems if item.level == "fail"]
    warnings = len(report.problems) - len(failed)
    name = "ringrift_verification_failures"
    if whole:
        process.metrics.set(name, 0)
    for item in report.problems:
        log = process.logger.error if item.level == "fail" else process.logger.warning
        log("verification", kind=item.kind, name=item.name, text=item.text)
    for _ in failed:
        process.metrics.add(name)
    fact: VerificationPassed | VerificationFailed = VerificationPassed(
        events_seq=report.seq,
        games_seq=report.games_seq,
        games=report.checked.get("game", 0),
        shards=report.checked.get("shard", 0),
        warnings=warnings,
    )
    if failed:
        fact = VerificationFailed(
            events_seq=report.seq,
            games_seq=report.games_seq,
            whole=whole,
            failures=len(failed),
            found=tuple(f"{item.name}: {item.text}"[:TEXT_MAX] for item in failed[:FOUND_MAX]),
        )
    key = f"{fence.last_seq}.{report.seq}.{report.games_seq}.{int(whole)}"
    await process.append(fact, key=key, expect=fence)


def share_of_core(process: Process) -> Callable[[], Awaitable[None]]:
    """Return a pause after a piece of work that keeps the processor time of this process at
    `CORE_SHARE`. It raises Drained when the process stops."""
    resumed = time.process_time()

    async def pause() -> None:
        nonlocal resumed
        worked = time.process_time() - resumed
        await process.wait(worked * (1.0 / CORE_SHARE - 1.0))
        if process.stopping:
            raise Drained
        resumed = time.process_time()

    return pause


if __name__ == "__main__":
    run("verifier", main)
