"""The identity of a cluster: `ringrift cluster init` makes it, for the directories of all voters,
and `contract apply` records it in the log.

Each server tells its own (`server_metadata`) to the login `scrubber`; without that login nothing is
known and nothing compared."""

import contextlib
from collections.abc import Sequence

from ringrift.cluster.files import NEW_FILE
from ringrift.errors import CommandError
from ringrift.events import draft
from ringrift.events.facts import ClusterFounded
from ringrift.log.holdings import Held, holdings
from ringrift.log.login import beside
from ringrift.log.protocol import Log
from ringrift.log.read import latest
from ringrift.runtime.processes import COMMANDS


async def contradiction(log: Log, held: Sequence[Held]) -> str:
    """Which voters belong to another cluster than the log, or than others; empty if none does."""
    founded = await latest(log, ClusterFounded)
    clusters = {each.server: each.cluster for each in held if each.cluster}
    known = {*clusters.values(), *([founded.event.cluster] if founded else [])}
    if len(known) < 2:
        return ""
    texts = [f"voter {name} belongs to {cluster}" for name, cluster in clusters.items()]
    texts += [f"the log belongs to {founded.event.cluster}"] if founded else []
    remedy = (
        "give the voters the files of one `ringrift cluster init`; if the log was copied here, "
        "`ringrift contract apply --new` records that"
    )
    return f"different clusters: {', '.join(texts)}; {remedy}"


async def claim(log: Log, *, copied: bool = False) -> None:
    """Record the identity of the voters in the log, unless it is there; with `copied` the log came
    from another cluster. The cluster is not new any more. Raises CommandError if they differ."""
    await _record(log, copied)
    if mark := beside(NEW_FILE):
        with contextlib.suppress(OSError):
            mark.unlink()


async def _record(log: Log, copied: bool) -> None:
    held = await holdings(log.servers) or []
    clusters = {each.cluster for each in held if each.cluster}
    founded = await latest(log, ClusterFounded)
    if not clusters or (founded and clusters == {founded.event.cluster}):
        return
    if len(clusters) > 1 or (founded and not copied):
        raise CommandError(await contradiction(log, held))
    fact = ClusterFounded(cluster=clusters.pop())
    key = f"{fact.cluster}.{founded.meta.seq if founded else 0}"
    await log.append([draft(fact, cause=None, source=COMMANDS, key=key)])
