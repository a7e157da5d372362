"""A network as bytes: safetensors with a header that says what it is. The SHA-256 of the bytes is
its name everywhere.

Loading reads numbers and JSON only, never pickled objects, and refuses what does not fit: another
encoder, another rules version, an unknown architecture, missing or surplus or misshapen tensors.
Here are the towers, and what every kind of network shares: the header, its checks, and the copying
of weights."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
import numpy as np
import torch

from ringrift.nets.architectures import Tower, build
from ringrift.nets.encoding import ENCODER
from ringrift.nets.shapes import AUXILIARY, UnknownArchitecture, canonical, describe, shape_of
from ringrift.nets.tensors import Arrays, TensorError, pack, unpack
from ringrift.rules.config import Config
from ringrift.rules.errors import ConfigError
from ringrift.rules.version import RULES_VERSION

HEADER_KEY: Final = "ringrift"
FORMAT: Final = 1
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class CheckpointError(ValueError):
    """Bytes that are no usable network; the text says why and what would be."""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a checkpoint says of itself. `shape` repeats the numbers of the architecture and names a
    tower's auxiliary heads, `encoder` is the version of its input, `parents` are digests."""

    format: int
    architecture: str
    shape: dict[str, int]
    config_key: str
    encoder: str
    rules_version: int
    parents: tuple[str, ...]
    notes: dict[str, str] = {}

    @property
    def config(self) -> Config:
        """The config the network was trained for."""
        return Config.parse(self.config_key)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checked header, the weights by name, and the digest of the bytes they came from."""

    header: Header
    weights: Arrays
    digest: str

    @classmethod
    def parse(cls, data: bytes, *, digest: str | None = None) -> "Checkpoint":
        """The checkpoint in `data`, which must have `digest` if one is given. Raises
        CheckpointError."""
        checkpoint = cls(*checked(data, encoder=ENCODER, shape_of=_shape_of, digest=digest))
        checkpoint.network()
        return checkpoint

    def network(self) -> Tower:
        """A network with these weights. Raises CheckpointError if they do not fit the
        architecture."""
        network = build(
            self.header.architecture,
            hex_board=self.header.config.shape.hex,
            auxiliary=self.header.shape.keys() & AUXILIARY,
        )
        load_weights(network, self.weights)
        return network


def digest_of(data: bytes) -> str:
    """SHA-256 of the bytes, 64 hex digits: the model's name."""
    return sha256(data).hexdigest()


def save(
    network: Tower,
    *,
    architecture: str,
    config: Config,
    parents: tuple[str, ...] = (),
    notes: dict[str, str] | None = None,
) -> bytes:
    """The bytes of `network`; the same weights and header give the same bytes everywhere."""
    header = Header(
        format=FORMAT,
        architecture=canonical(architecture),
        shape=describe(network.shape),
        config_key=config.key,
        encoder=ENCODER,
        rules_version=RULES_VERSION,
        parents=parents,
        notes=notes or {},
    )
    return write(network, header)


def write(network: torch.nn.Module, header: Header, *, key: str = HEADER_KEY) -> bytes:
    """The bytes of the weights of `network` under `header`, which stands under `key`."""
    return pack(weights_of(network), {key: msgspec.json.encode(header, order="sorted").decode()})


def weights_of(network: torch.nn.Module) -> Arrays:
    """The weights by name, in host memory and C order."""
    state = network.state_dict()
    return {
        name: np.ascontiguousarray(tensor.detach().cpu().numpy()) for name, tensor in state.items()
    }


def load_weights(network: torch.nn.Module, weights: Arrays) -> None:
    """Copy `weights` into `network`. Raises CheckpointError naming the tensors that are missing,
    surplus or misshapen."""
    own = network.state_dict()
    missing, surplus = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if missing or surplus:
        raise CheckpointError(
            f"tensors do not fit the architecture: missing {missing}, surplus {surplus}"
        )
    for name, tensor in own.items():
        array = weights[name]
        if tuple(tensor.shape) != array.shape or array.dtype != np.float32:
            raise CheckpointError(
                f"tensor {name!r} is {array.dtype} {array.shape}, expected float32 {tuple(tensor.shape)}"
            )
        if not np.isfinite(array).all():
            raise CheckpointError(f"tensor {name!r} holds values that are not finite")
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(array.copy()))


def read(data: bytes, *, key: str = HEADER_KEY) -> tuple[Header, Arrays]:
    """The header under `key` and the tensors, not yet checked against this build. Raises
    CheckpointError."""
    try:
        weights, metadata = unpack(data)
        if key not in metadata:
            others = [name for name in metadata if name.startswith(HEADER_KEY)]
            kind = (
                f"its header is of another kind, {others[0]} and not {key}"
                if others
                else "it has no header of ours"
            )
            raise CheckpointError(
                f"a tensor file, but no network of RingRift that fits here: {kind}"
            )
        return msgspec.json.decode(metadata[key], type=Header), weights
    except (TensorError, msgspec.DecodeError) as error:
        raise CheckpointError(f"not a checkpoint: {error}") from error


def checked(
    data: bytes,
    *,
    encoder: str,
    shape_of: Callable[[Header], dict[str, int]],
    key: str = HEADER_KEY,
    digest: str | None = None,
) -> tuple[Header, Arrays, str]:
    """Header, tensors and digest of `data`, which must have `digest` if one is given, once the
    header fits this build.

    `encoder` is the version of the input here and `shape_of` the shape of the architecture that a
    header names; it raises UnknownArchitecture. Raises CheckpointError."""
    actual = digest_of(data)
    if digest is not None and digest != actual:
        raise CheckpointError(
            f"the bytes have digest {actual}, expected {digest}; fetch the blob again"
        )
    header, weights = read(data, key=key)
    if header.format != FORMAT:
        raise CheckpointError(
            f"checkpoint format {header.format}; this build reads format {FORMAT}"
        )
    if header.encoder != encoder:
        raise CheckpointError(
            f"trained with encoder {header.encoder!r}, this build has {encoder!r}; train it anew"
        )
    if header.rules_version != RULES_VERSION:
        raise CheckpointError(
            f"trained under rules version {header.rules_version}, this build has {RULES_VERSION}"
        )
    try:
        Config.parse(header.config_key)
        shape = shape_of(header)
    except (UnknownArchitecture, ConfigError) as error:
        raise CheckpointError(str(error)) from error
    if header.shape != shape:
        raise CheckpointError(
            f"{header.architecture} has shape {shape} in this build, the checkpoint says {header.shape}"
        )
    bad = [parent for parent in header.parents if not _DIGEST.fullmatch(parent)]
    if bad:
        raise CheckpointError(f"parents are digests of 64 hex digits, not {bad}")
    return header, weights, actual


def _shape_of(header: Header) -> dict[str, int]:
    return describe(shape_of(header.architecture)) | {
        name: 1 for name in AUXILIARY if name in header.shape
    }
