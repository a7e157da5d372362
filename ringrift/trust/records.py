"""The records of trust: who is admitted, audited and quarantined, from where signatures count, and
who attests what."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from ringrift.events.facts import AuditFinished, PromotionAttested, SignaturesRequired
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.runtime.controls import quarantines_in_force
from ringrift.trust.admission import standing

AUDITS_MAX = 20_000
"""events, the newest ones, whose audits are counted"""


class Audited(Struct, frozen=True, kw_only=True):
    """Games of a node that were audited, and how many of them failed."""

    games: int = 0
    failed: int = 0


class Trust(Struct, frozen=True, kw_only=True):
    """Roles of the admitted nodes; the position from which on signatures are required, if they are;
    and for each config the nodes whose coordinators attest the promotion of its current network."""

    admitted: dict[str, tuple[str, ...]]
    required_from: str | None
    attested: dict[str, tuple[str, ...]]
    audited: dict[str, Audited] = {}
    """nodes with games that were audited lately"""
    quarantined: dict[str, str] = {}
    """nodes, and why each is"""

    def lines(self) -> Iterator[str]:
        """The records in words; nothing if no node is admitted, audited or quarantined."""
        for node, why in self.quarantined.items():
            remedy = f"`ringrift breakers reset node-{node}` releases it"
            yield f"node {node} is quarantined: {why}; {remedy}"
        if self.audited:
            nodes = (
                f"{node} {one.games} ({one.failed} failed)" for node, one in self.audited.items()
            )
            yield f"games audited: {', '.join(nodes)}"
        if not self.admitted:
            return
        since = self.required_from
        required = f"required from {since} on" if since else "not required"
        nodes = (f"{node} ({', '.join(roles)})" for node, roles in self.admitted.items())
        yield f"trust: signatures are {required}; admitted: {', '.join(nodes)}"
        for config, names in self.attested.items():
            who = f"attested by {', '.join(names)}" if names else "unattested"
            yield f"current network of {config}: {who}"


async def trust(log: Log, current: Mapping[str, str | None]) -> Trust:
    """Read the records; `current` has the current network of each config."""
    admitted: dict[str, set[str]] = {}
    for one in (await standing(log)).admitted.values():
        admitted.setdefault(one.node, set()).update(one.roles)
    required = [meta.position async for _, meta in read.facts(log, SignaturesRequired)]
    said: dict[str, dict[int, set[str]]] = {}
    async for fact, _ in read.facts(log, PromotionAttested):
        if fact.model == current.get(fact.config):
            said.setdefault(fact.config, {}).setdefault(fact.promotion, set()).add(fact.node)
    audited: dict[str, Audited] = {}
    after = max(0, await log.tail(EVENTS) - AUDITS_MAX)
    async for audit, _ in read.facts(log, AuditFinished, after=after):
        for found in audit.found:
            known = audited.get(found.node, Audited())
            failed = known.failed + len(found.differing) + len(found.broken)
            audited[found.node] = Audited(games=known.games + found.games, failed=failed)
    return Trust(
        audited=dict(sorted(audited.items())),
        quarantined=dict(sorted((await quarantines_in_force(log)).items())),
        admitted={node: tuple(sorted(roles)) for node, roles in sorted(admitted.items())},
        required_from=required[0] if required else None,
        attested={
            config: tuple(sorted(max(said.get(config, {0: set()}).items())[1]))
            for config, model in sorted(current.items())
            if model
        },
    )
