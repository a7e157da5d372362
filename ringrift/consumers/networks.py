"""Networks as a worker meets them: fetched by digest, checked, and kept while they are in use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import torch

from ringrift.learning.families import model_of
from ringrift.log.topology import MODEL_BUCKET
from ringrift.runtime.process import Process, threads
from ringrift.search.harness import Model

NETWORKS_MAX = 4
"""networks held at once: both sides of a match, and those of the next"""


class Networks:
    """Networks at work by digest, the least recently used one dropped."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._held: OrderedDict[str, Model] = OrderedDict()

    async def get(self, model: str) -> Model:
        """A network. Raises BlobMissing, BlobCorrupt, CheckpointError."""
        if model not in self._held:
            data = await self._process.blobs.get(MODEL_BUCKET, model)
            self._held[model] = await asyncio.to_thread(_load, data, model)
        self._held.move_to_end(model)
        while len(self._held) > NETWORKS_MAX:
            self._held.popitem(last=False)
        return self._held[model]


def _load(data: bytes, model: str) -> Model:
    torch.set_num_threads(threads())
    return model_of(data, digest=model)
