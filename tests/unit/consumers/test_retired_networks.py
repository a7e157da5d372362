"""The exporter deletes the networks that are retired, before its start or while it runs."""

from __future__ import annotations

from support.system import System, running
from support.waiting import eventually

from ringrift.consumers import exporter
from ringrift.events.facts import ModelKept, ModelRetired
from ringrift.log.topology import MODEL_BUCKET


def retired(model: str) -> ModelRetired:
    return ModelRetired(config="hex8_2p", model=model, why="w", settings_version=1)


async def test_retired_networks_are_deleted_unless_a_person_wants_them_back(system: System) -> None:
    blobs = system.process("exporter").blobs
    first, back, second, other = [
        await blobs.put(MODEL_BUCKET, name) for name in (b"first", b"back", b"second", b"other")
    ]
    kept = ModelKept(config="hex8_2p", model=back, kept=True, why="w")
    await system.write(retired(first), retired(back), kept)

    async def left(*names: str) -> bool:
        return set(await blobs.names(MODEL_BUCKET)) == {*names}

    async with running(exporter.main(system.process("exporter"))):
        await eventually(lambda: left(back, second, other), 60.0)
        await system.write(retired(second))
        await eventually(lambda: left(back, other), 60.0)
