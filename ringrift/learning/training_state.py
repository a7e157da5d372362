"""Training checkpoints: the state of a training as bytes, from which it can be resumed."""

from typing import Final

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from ringrift.errors import Permanent
from ringrift.events.settings import TrainingSettings
from ringrift.nets.checkpoint import load_weights, weights_of
from ringrift.nets.header import CheckpointError
from ringrift.nets.tensors import Arrays, TensorError, pack, unpack

FORMAT: Final = 1
HEADER_KEY: Final = "ringrift-training"


class TrainingError(ValueError, Permanent):
    """A training cannot start or continue; the message gives the reason."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The progress of a training. Losses are means since the last report; `validation_loss` is
    policy loss + weight * value loss."""

    step: int
    steps: int
    loss: float
    policy_loss: float
    value_loss: float
    validation_loss: float | None
    samples_per_second: float


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a training that was on one config; losses as in `Progress`."""

    steps: int
    samples: int
    loss: float
    policy_loss: float
    value_loss: float
    validation_loss: float | None


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The header of a training checkpoint, which resumes only the training that wrote it."""

    format: int
    step: int
    steps: int
    seed: int
    window: str
    settings: TrainingSettings
    parent: str | None
    teacher: str | None = None
    progress: Progress | None


def write(state: State, network: nn.Module, optimizer: torch.optim.Optimizer) -> bytes:
    """Return the bytes of a training checkpoint: state, weights and moments of the optimizer."""
    arrays = {f"weights/{name}": array for name, array in weights_of(network).items()}
    for name, parameter in network.named_parameters():
        for key, tensor in optimizer.state[parameter].items():
            arrays[f"optimizer/{key}/{name}"] = tensor.detach().cpu().numpy()
    return pack(arrays, {HEADER_KEY: msgspec.json.encode(state, order="sorted").decode()})


def read(data: bytes, own: State, network: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Copy weights and moments of a training checkpoint into `network` and `optimizer`; return
    its state.

    Raises TrainingError if it is damaged or belongs to another training than `own`."""
    try:
        arrays, metadata = unpack(data)
        state = msgspec.json.decode(metadata.get(HEADER_KEY, ""), type=State)
        for field in ("format", "steps", "seed", "window", "settings", "parent", "teacher"):
            if getattr(state, field) != getattr(own, field):
                raise TrainingError(f"checkpoint of another training: {field} differs; start again")
        if not 0 <= state.step <= state.steps:
            raise CheckpointError(f"step {state.step} of {state.steps}")
        load_weights(network, _group(arrays, "weights/"))
        for name, parameter in network.named_parameters():
            moments = _group(arrays, "optimizer/", f"/{name}")
            optimizer.state[parameter] = _moments(name, parameter, moments)
    except (TensorError, CheckpointError, msgspec.DecodeError) as error:
        raise TrainingError(f"not a training checkpoint: {error}; start again") from error
    return state


def _moments(name: str, parameter: Tensor, arrays: Arrays) -> dict[str, Tensor]:
    """Return AdamW's state of one parameter, none before the first step, on its device and in its
    memory order: the fused optimizer walks both in step. Raises CheckpointError."""
    shape, found = tuple(parameter.shape), {}
    if arrays and arrays.keys() != {"step", "exp_avg", "exp_avg_sq"}:
        raise CheckpointError(f"moments of {name!r}: {sorted(arrays)}")
    for key, array in arrays.items():
        fits = array.dtype == np.float32 and array.shape == (() if key == "step" else shape)
        if not fits or not np.isfinite(array).all() or (key != "exp_avg" and (array < 0).any()):
            raise CheckpointError(f"moment {key!r} of {name!r} has a wrong shape, type or value")
        tensor = torch.from_numpy(array.copy())
        same = torch.empty_like(parameter, requires_grad=False)
        found[key] = tensor.to(parameter.device) if key == "step" else same.copy_(tensor)
    return found


def _group(arrays: Arrays, prefix: str, suffix: str = "") -> Arrays:
    """Return the arrays whose name has this prefix and suffix, by the name between them."""
    return {
        name[len(prefix) : len(name) - len(suffix)]: array
        for name, array in arrays.items()
        if name.startswith(prefix) and name.endswith(suffix)
    }
