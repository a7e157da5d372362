"""Training checkpoints: the state of a training as bytes, from which it can be resumed."""

from typing import Any, Final

import msgspec
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ringrift.events.settings import TrainingSettings
from ringrift.nets.checkpoint import load_weights, weights_of
from ringrift.nets.tensors import Arrays, TensorError, pack, unpack

FORMAT: Final = 1
HEADER_KEY: Final = "ringrift-training"


class TrainingError(ValueError):
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
    except (TensorError, msgspec.DecodeError) as error:
        raise TrainingError(f"not a training checkpoint: {error}; start again") from error
    for field in ("format", "steps", "seed", "window", "settings", "parent", "teacher"):
        if getattr(state, field) != getattr(own, field):
            raise TrainingError(f"checkpoint of another training: {field} differs; start again")
    load_weights(network, _group(arrays, "weights/"))
    for name, parameter in network.named_parameters():
        moments = _group(arrays, "optimizer/", f"/{name}").items()
        optimizer.state[parameter] = {key: _like(parameter, array) for key, array in moments}
    return state


def _like(parameter: Tensor, array: NDArray[Any]) -> Tensor:
    """Return `array` on the device and, if it has the same shape, in the memory order of
    `parameter`: the fused optimizer walks both in step."""
    tensor = torch.from_numpy(array.copy())
    if tensor.shape != parameter.shape:
        return tensor.to(parameter.device)
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)


def _group(arrays: Arrays, prefix: str, suffix: str = "") -> Arrays:
    """Return the arrays whose name has this prefix and suffix, by the name between them."""
    return {
        name[len(prefix) : len(name) - len(suffix)]: array
        for name, array in arrays.items()
        if name.startswith(prefix) and name.endswith(suffix)
    }
