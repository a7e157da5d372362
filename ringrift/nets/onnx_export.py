"""ONNX export: a network as a graph, checked against the network itself by the reference evaluator
of ONNX. Needs the extra `onnx`. `python -m ringrift.nets.onnx_export` is a filter of bytes.

Inputs, for B positions with M legal moves and N rows of bags in total (`ringrift.nets.batch`):

    planes    float32 [B, PLANES, W, W]     globals   float32 [B, GLOBALS]
    rows      int64 [N], weights float32 [N], bags int64 [N]: row `rows[i]` of the table belongs to
              move `bags[i]`
    kinds     int64 [M], positions int64 [M]
    features  float32 [B, FEATURES, W, W], only for networks with threat planes

Outputs: `logits` float32 [M], `values` float32 [B, RELATIVE_SEATS]. B, M and N are free. Each row
names its bag, instead of each bag its first row as in `Batch`, because ONNX has an operator that
sums by index."""

import importlib.util
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ringrift.errors import RingRiftError
from ringrift.nets.architectures import Tower
from ringrift.nets.arrays import Codes, States
from ringrift.nets.batch import Batch, Batcher
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.tensors import unpack
from ringrift.rules import Position, geometry

PACKAGES: Final = ("onnx", "onnxscript")
NAMES: Final = ("planes", "globals", "rows", "bags", "weights", "kinds", "positions", "features")
"""The inputs in their order."""
AXES: Final = dict(zip(NAMES, "BBNNNMMB", strict=True))
"""The size of the first axis of each input."""
DIFFERENCE_MAX: Final = 1e-4
"""Largest difference of an output that another order of summation explains; logits are of the order
of 1 to 10."""
CHECKED_POSITIONS: Final = 24
CHECK_SEED: Final = 1


class OnnxError(RingRiftError):
    """The export failed or differs from the network; the message says which."""


class _Graph(nn.Module):
    """`Tower.forward` with the bags summed by index."""

    def __init__(self, network: Tower) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        planes: Tensor,
        globals_: Tensor,
        rows: Tensor,
        bags: Tensor,
        weights: Tensor,
        kinds: Tensor,
        positions: Tensor,
        features: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        x, context = self.network.trunk(planes, globals_, features)
        head = self.network.policy
        table = head.roles(x.permute(0, 2, 3, 1)).reshape(-1, head.hidden)
        rest = head.kind(kinds) + head.context(context).index_select(0, positions)
        moves = rest.index_add(0, bags, table.index_select(0, rows) * weights[:, None])
        return head.score(functional.silu(moves)).squeeze(1), self.network.value(context)


def export(data: bytes) -> tuple[bytes, float]:
    """Return the ONNX file of a checkpoint, and the largest difference of its outputs from those of
    the network on positions of random play.

    The file's metadata contains the checkpoint's header and digest. Raises CheckpointError, and
    OnnxError if a package is missing or an output differs by more than `DIFFERENCE_MAX`."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise OnnxError(f"the export needs {', '.join(missing)}: pip install 'ringrift[onnx]'")
    checkpoint = TowerCheckpoint.parse(data)
    graph = _Graph(checkpoint.network().eval())
    batches = [_batch(checkpoint, count) for count in (3, CHECKED_POSITIONS)]
    metadata = {"digest": checkpoint.digest} | unpack(data)[1]
    exported = _export(graph, inputs(batches[0]), metadata)
    difference = max(_difference(exported, graph.network, batch) for batch in batches)
    if not difference <= DIFFERENCE_MAX:
        raise OnnxError(f"outputs differ by {difference:.2g}, more than {DIFFERENCE_MAX:g}")
    return exported, difference


def inputs(batch: Batch) -> tuple[Tensor, ...]:
    """Return the inputs of the graph for a batch, in the order of `NAMES`."""
    planes, globals_, (rows, starts, *rest), features = batch
    lengths = starts.diff()
    bags = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    threats = () if features is None else (features.contiguous(),)
    return (planes.contiguous(), globals_, rows, bags, *rest, *threats)


def _export(graph: _Graph, arguments: tuple[Tensor, ...], metadata: dict[str, str]) -> bytes:
    sizes = {name: torch.export.Dim(name, min=1) for name in "BMN"}
    names = NAMES[: len(arguments)]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # torch warns about its own exporter
        program: Any = torch.onnx.export(
            graph.eval(),
            arguments,
            dynamo=True,
            input_names=names,
            output_names=("logits", "values"),
            verbose=False,
            dynamic_shapes=tuple({0: sizes[AXES[name]]} for name in names),
        )
        for node in program.model.graph:
            node.metadata_props.clear()  # where each came from, with paths of this machine
        program.model.metadata_props.update(metadata)
        path = Path(folder) / "network.onnx"
        program.save(str(path))
        return path.read_bytes()


def _difference(exported: bytes, network: Tower, batch: Batch) -> float:
    """Return the largest difference between outputs of the graph and of the network."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(onnx.load_from_string(exported))
    arguments = (tensor.numpy() for tensor in inputs(batch))
    found: Any = session.run(None, dict(zip(NAMES, arguments, strict=False)))
    with torch.inference_mode():
        expected = network(*batch)
    pairs = zip(found, expected, strict=True)
    return max(float(np.abs(one - other.numpy()).max()) for one, other in pairs)


def _batch(checkpoint: TowerCheckpoint, count: int) -> Batch:
    """Return a batch of `count` positions of random play."""
    config, random = checkpoint.header.config, np.random.default_rng(CHECK_SEED)
    states: list[States] = []
    codes: list[Codes] = []
    position = Position.start(config)
    while len(states) < count:
        if position.over:
            position = Position.start(config)
        states.append(position.state.copy())
        codes.append(position.legal_codes())
        for _ in range(int(random.integers(1, 9))):
            if not position.over:
                position.play_code(int(random.choice(position.legal_codes())))
    offsets = np.cumsum([0, *map(len, codes)]).astype(np.int64)
    features = checkpoint.header.shape.get("features", 0) > 0
    batcher = Batcher(geometry(config), features=features)
    return batcher.encode(np.array(states, np.int32), np.concatenate(codes), offsets)


if __name__ == "__main__":  # a child process of the page of a network
    try:
        sys.stdout.buffer.write(export(sys.stdin.buffer.read())[0])
    except RingRiftError as error:
        sys.exit(str(error))
