"""The networks that a worker uses: fetched by digest, verified, and kept in memory."""

import asyncio
from collections import OrderedDict

import torch

from ringrift.learning.families import model_of
from ringrift.log.topology import MODEL_BUCKET
from ringrift.runtime.host import threads
from ringrift.runtime.process import Process
from ringrift.search.harness import Model

NETWORKS_MAX = 4
"""networks in memory: both sides of a match, and those of the next one"""


class Networks:
    """A cache of networks by digest that drops the least recently used one."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._kept: OrderedDict[str, Model] = OrderedDict()

    async def get(self, model: str) -> Model:
        """A network. Raises BlobMissing, BlobCorrupt, CheckpointError."""
        if model not in self._kept:
            data = await self._process.blobs.get(MODEL_BUCKET, model)
            self._kept[model] = await asyncio.to_thread(_load, data, model)
        self._kept.move_to_end(model)
        while len(self._kept) > NETWORKS_MAX:
            self._kept.popitem(last=False)
        return self._kept[model]


def _load(data: bytes, model: str) -> Model:
    torch.set_num_threads(threads())
    return model_of(data, digest=model)
