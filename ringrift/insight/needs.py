"""What needs a person, the most urgent first, each with its remedy."""

from __future__ import annotations

from typing import NamedTuple

from ringrift.insight.describe import plural
from ringrift.insight.generations import LoopView
from ringrift.runtime.cluster_view import ClusterView
from ringrift.runtime.controls import resume_command

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


class Need(NamedTuple):
    """What needs a person, why, and what to do; `failure` if work has stopped or failed."""

    what: str
    why: str
    remedy: str
    failure: bool


def needs(loop: LoopView, cluster: ClusterView | None) -> list[Need]:
    """Failures, missing processes and voters, dead letters, pauses, then setbacks; without a view
    of the cluster, what the facts say."""
    troubles = [
        Need(f"{it.scope}: {it.name}", it.why, REMEDIES.get(it.name, ""), it.failure)
        for it in loop.troubles.in_force()
    ]
    found = [need for need in troubles if need.failure]
    if cluster is not None:
        said = {str(trouble) for trouble in cluster.troubles}
        for line in cluster.advice:
            what, _, remedy = line.partition(": ")
            if line not in said and what not in ("paused", "dead letters"):
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
