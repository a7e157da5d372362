"""The records of trust: who is admitted, from where signatures count, and who attests what."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from ringrift.events.facts import PromotionAttested, SignaturesRequired
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.trust.admission import standing


class Trust(Struct, frozen=True, kw_only=True):
    """Roles of the admitted nodes; the position from which on signatures are required, if they are;
    and for each config the nodes whose coordinators attest the promotion of its current network."""

    admitted: dict[str, tuple[str, ...]]
    required_from: str | None
    attested: dict[str, tuple[str, ...]]

    def lines(self) -> Iterator[str]:
        """The records in words; nothing if no node is admitted."""
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
    required = await read.latest(log, SignaturesRequired)
    said: dict[str, dict[int, set[str]]] = {}
    async for fact, _ in read.facts(log, PromotionAttested):
        if fact.model == current.get(fact.config):
            said.setdefault(fact.config, {}).setdefault(fact.promotion, set()).add(fact.node)
    return Trust(
        admitted={node: tuple(sorted(roles)) for node, roles in sorted(admitted.items())},
        required_from=required.meta.position if required else None,
        attested={
            config: tuple(sorted(max(said.get(config, {0: set()}).items())[1]))
            for config, model in sorted(current.items())
            if model
        },
    )
