"""How fast a tower evaluates positions on one core in float32, bfloat16 and int8, and how much its
answers change: a figure of docs/experiments.md.

    python docs/scripts/precision.py NETWORK

The positions are of random play, 128 at once. bfloat16 is torch's autocast; int8 is static
quantisation by onnxruntime, calibrated on other positions, with a scale for each output channel."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from ringrift.nets.arrays import Codes, States
from ringrift.nets.batch import Batch, Batcher
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.onnx_export import NAMES, export, inputs
from ringrift.rules import Position, geometry

SIZE, BATCHES, CALIBRATION, ROUNDS = 128, 4, 8, 9
Answer = Callable[[Batch], tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def batches(checkpoint: TowerCheckpoint, count: int, seed: int) -> list[Batch]:
    """Return batches of positions of random play."""
    config, random = checkpoint.header.config, np.random.default_rng(seed)
    position, found = Position.start(config), list[Batch]()
    for _ in range(count):
        states, codes = list[States](), list[Codes]()
        while len(states) < SIZE:
            for _ in range(int(random.integers(1, 9))):
                if position.over:
                    position = Position.start(config)
                position.play_code(int(random.choice(position.legal_codes())))
            if not position.over:
                states.append(position.state.copy())
                codes.append(position.legal_codes())
        offsets = np.cumsum([0, *map(len, codes)]).astype(np.int64)
        batcher = Batcher(geometry(config))  # whose buffers the next call would overwrite
        found.append(batcher.encode(np.array(states), np.concatenate(codes), offsets))
    return found


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """The batches from which onnxruntime learns the ranges of activations."""

    def __init__(self, given: Iterable[Batch]) -> None:
        self._given = iter(given)

    def get_next(self) -> dict[str, Any] | None:
        """Return the inputs of the next batch, None after the last."""
        batch = next(self._given, None)
        return None if batch is None else named(batch)


def named(batch: Batch) -> dict[str, Any]:
    """Return the inputs of the graph by name."""
    return dict(zip(NAMES, (tensor.numpy() for tensor in inputs(batch)), strict=False))


def of_torch(checkpoint: TowerCheckpoint, half: bool) -> Answer:
    """Return the network under torch, as the loop plays it; `half` with bfloat16."""
    network = checkpoint.network().eval().requires_grad_(False)

    def answer(batch: Batch) -> Any:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            return tuple(part.float().numpy() for part in network(*batch))

    return answer


def of_onnx(path: Path) -> Answer:
    """Return the network under onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, named(batch))


def quantised(path: Path, given: Iterable[Batch]) -> Path:
    """Return the file of the network with int8 weights and activations."""
    prepared, found = path.with_suffix(".prepared"), path.with_suffix(".int8")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(found),
        Calibration(given),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return found


def row(name: str, answer: Answer, exact: Answer, given: list[Batch]) -> str:
    """Return a row of the table: the time of a position, and errors against `exact`."""
    times, policy, value, moves, best = list[float](), 0.0, 0.0, 0, 0
    for batch in given * ROUNDS:
        began = time.process_time()
        answer(batch)
        times.append(time.process_time() - began)
    for batch in given:
        owner = np.asarray(batch.bags.positions)
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        (logits, values), (true_logits, true_values) = answer(batch), exact(batch)
        value += float(np.abs(values - true_values).mean())
        for first, last in zip(starts, [*starts[1:], len(owner)], strict=True):
            p, q = (softmax(part[first:last]) for part in (true_logits, logits))
            policy += float((p * np.log(p / q)).sum())
            best += int(p.argmax() == q.argmax())
            moves += 1
    speed = 1e6 * median(times) / SIZE
    errors = f"{policy / moves:.4f} | {100 * best / moves:.1f} % | {value / len(given):.4f}"
    return f"| {name} | {speed:.0f} | {errors} |"


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return probabilities."""
    found = np.exp((logits - logits.max()).astype(np.float64))
    return found / found.sum()  # type: ignore[no-any-return]


def main(path: Path) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    data = path.read_bytes()
    checkpoint = TowerCheckpoint.parse(data)
    given = batches(checkpoint, BATCHES, seed=1)
    exact = of_torch(checkpoint, half=False)
    print("| arithmetic | us a position | policy, KL | same best move | values, mean error |")
    print("|---|--:|--:|--:|--:|")
    print(row("float32, torch", exact, exact, given), flush=True)
    print(row("bfloat16, torch", of_torch(checkpoint, half=True), exact, given), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "network.onnx"
        graph.write_bytes(export(data)[0])
        print(row("float32, onnxruntime", of_onnx(graph), exact, given), flush=True)
        small = quantised(graph, batches(checkpoint, CALIBRATION, seed=2))
        print(row("int8, onnxruntime", of_onnx(small), exact, given), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
