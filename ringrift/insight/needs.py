"""What needs a person, the most urgent first, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ringrift.deciders.fleet.resilience import missing_advice, vacant_advice
from ringrift.insight.describe import plural
from ringrift.insight.generations import LoopView
from ringrift.insight.live import Live
from ringrift.runtime.controls import resume_command
from ringrift.runtime.processes import EXPECTED

_RETRY = "once the cause is gone, run `ringrift dlq retry --all`"
REMEDIES = {
    "training failed": f"read the trainer's log; {_RETRY}",
    "training timed out": "see whether a trainer runs; another training is requested by itself",
    "evaluation failed": f"read the evaluator's log; {_RETRY}",
    "earlier network used": "`ringrift doctor` checks the bucket `models`",
    "verification failed": "`ringrift verify` names what is lost",
    "training blocked": "nothing, if self-play continues: it waits for better data",
    "progress stalled": "compare other settings with `ringrift whatif`",
    "regression": "nothing: a critical one is rolled back by itself",
    "fact skipped": "`ringrift dlq list` has the reason; update the program",
}
"""what a person can do, by name of a trouble"""
_SHOWN_ELSEWHERE = ("paused", "dead letters", "coordinator", "processes")


class Need(NamedTuple):
    """What needs a person, why, and what to do; `failure` if work has stopped or failed."""

    what: str
    why: str
    remedy: str
    failure: bool


def needs(loop: LoopView, live: Live | None) -> list[Need]:
    """Failures, missing processes and voters, dead letters, pauses, then setbacks; without the
    state of now, what the facts say."""
    troubles = [
        Need(f"{it.scope}: {it.name}", it.why, REMEDIES.get(it.name, ""), it.failure)
        for it in loop.troubles.in_force()
        if not (it.observed and it.failure and live and live.cluster)  # which says it itself
    ]
    found = [need for need in troubles if need.failure]
    for line in _advice(live) if live else ():
        what, _, remedy = line.partition(": ")
        found.append(Need(what, "", remedy, True))
    if loop.dead_letters:
        remedy = "see `ringrift dlq list`, then `ringrift dlq retry` or `ringrift dlq drop`"
        found.append(Need(plural(loop.dead_letters, "dead letter"), "", remedy, True))
    for pause, why in sorted(loop.paused.items()):
        scope, _, kind = pause.partition("/")
        work = "all work" if kind == "all" else kind
        what = f"{'all configs' if scope == 'all' else scope}: {work} paused"
        found.append(Need(what, why, f"`{resume_command(pause)}` ends it", False))
    return found + [need for need in troubles if not need.failure]


def _advice(live: Live) -> Iterator[str]:
    """What `ringrift status` advises, but for what `needs` takes from the facts, and for processes
    that have not been missing for long."""
    vacant, missing = live.vacant.names, live.missing.names
    if len(missing) == len(EXPECTED):
        yield "no process runs: `ringrift up` continues"
    else:
        if vacant:
            yield vacant_advice(vacant)
        if missing:
            yield missing_advice(missing)
    if live.cluster is not None:
        shown = {str(trouble) for trouble in live.cluster.troubles}
        for line in live.cluster.advice:
            if line not in shown and line.partition(":")[0] not in _SHOWN_ELSEWHERE:
                yield line
