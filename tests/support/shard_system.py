"""Four games of two nodes in two shards, as an exporter left them."""

from __future__ import annotations

from ringrift.consumers.shards.building import exported_shards, make_shard
from ringrift.consumers.shards.upkeep import READS, ShardsInForce, revise
from ringrift.events import Fact
from ringrift.events.facts import ShardExported
from ringrift.log import read
from ringrift.nets.encoding import ENCODER
from support.games import recorded_game
from support.system import System


class ShardSystem:
    """Games 0 to 2 were played by node n1, game 3 by n2; each shard has two games."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.exporter = system.process("exporter")
        self.blobs, self.write = self.exporter.blobs, system.write
        nodes = ("n1", "n1", "n1", "n2")
        self.games = [recorded_game(number, node=node) for number, node in enumerate(nodes)]

    async def start(self) -> None:
        """Write the games and the shards."""
        await self.write(*self.games)
        for index in range(2):
            data, counts = make_shard("hex8_2p", self.games[2 * index : 2 * index + 2])
            fact = ShardExported(
                config="hex8_2p",
                encoder=ENCODER,
                index=index,
                first_seq=1 + 2 * index,
                last_seq=2 + 2 * index,
                games=2,
                samples=counts.samples,
                rejected=0,
                digest=await self.blobs.put("shards", data),
                size_bytes=len(data),
            )
            await self.write(fact)

    async def shards(self) -> list[ShardExported]:
        """Every shard fact, in the order of the log."""
        return [event for event, _ in (await exported_shards(self.system.log)).get("hex8_2p", [])]

    async def revised(self) -> list[ShardExported]:
        """Revise the shards; the new facts."""
        before, in_force = len(await self.shards()), ShardsInForce()
        async for event, meta in read.facts(self.system.log, *READS):
            in_force.take(event, meta)
        await revise(self.exporter, in_force)
        return (await self.shards())[before:]

    def bytes_of(self, *games: Fact) -> bytes:
        """The shard of these games."""
        return make_shard("hex8_2p", games)[0]
