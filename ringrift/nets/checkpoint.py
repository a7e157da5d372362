"""Checkpoints: a network as a safetensors file with a header. Its name is the SHA-256 of the bytes.

Loading reads only numbers and JSON, never pickled objects, and rejects what does not fit this
build: another encoder or rules version, an unknown architecture, missing, surplus or misshapen
tensors. This module holds the checkpoints of towers, and what all kinds of networks share: the
header, its checks, and copying weights."""

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
    """The bytes are not a usable network; the message says why and what would be."""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The header of a checkpoint. `shape` repeats the numbers of the architecture and names the
    auxiliary heads of a tower, `encoder` is the version of the input, `parents` are digests."""

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
        """Return the checkpoint in `data`. Raises CheckpointError, also if `digest` is given and is
        not that of `data`."""
        checkpoint = cls(*checked(data, encoder=ENCODER, shape_of=_shape_of, digest=digest))
        checkpoint.network()
        return checkpoint

    def network(self) -> Tower:
        """Return a network with these weights. Raises CheckpointError if they do not fit the
        architecture."""
        network = build(
            self.header.architecture,
            hex_board=self.header.config.shape.hex,
            auxiliary=self.header.shape.keys() & AUXILIARY,
        )
        load_weights(network, self.weights)
        return network


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of the bytes as 64 hex digits, the name of the model."""
    return sha256(data).hexdigest()


def save(
    network: Tower,
    *,
    architecture: str,
    config: Config,
    parents: tuple[str, ...] = (),
    notes: dict[str, str] | None = None,
) -> bytes:
    """Return `network` as bytes, which depend only on its weights and the header."""
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
    """Return the weights of `network` as bytes, with `header` stored under `key`."""
    return pack(weights_of(network), {key: msgspec.json.encode(header, order="sorted").decode()})


def weights_of(network: torch.nn.Module) -> Arrays:
    """Return the weights by name, in host memory and C order."""
    state = network.state_dict()
    return {
        name: np.ascontiguousarray(tensor.detach().cpu().numpy()) for name, tensor in state.items()
    }


def load_weights(network: torch.nn.Module, weights: Arrays) -> None:
    """Copy `weights` into `network`. Raises CheckpointError that names missing, surplus or
    misshapen tensors."""
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
                f"tensor {name!r} is {array.dtype} {array.shape}, "
                f"expected float32 {tuple(tensor.shape)}"
            )
        if not np.isfinite(array).all():
            raise CheckpointError(f"tensor {name!r} holds values that are not finite")
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(array.copy()))


def read(data: bytes, *, key: str = HEADER_KEY) -> tuple[Header, Arrays]:
    """Return the header stored under `key` and the tensors, without checking them against this
    build. Raises CheckpointError."""
    try:
        weights, metadata = unpack(data)
        if key not in metadata:
            others = [name for name in metadata if name.startswith(HEADER_KEY)]
            kind = (
                f"its header is {others[0]}, expected {key}"
                if others
                else "it has no header of RingRift"
            )
            raise CheckpointError(f"a tensor file, but not a network of the expected kind: {kind}")
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
    """Return header, tensors and digest of `data` after checking that the header fits this build.

    `encoder` is the version of the input in this build; `shape_of` returns the shape of the
    architecture that a header names, or raises UnknownArchitecture. Raises CheckpointError, also if
    `digest` is given and is not that of `data`."""
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
            f"trained with encoder {header.encoder!r}, this build has {encoder!r}; train it again"
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
            f"{header.architecture} has shape {shape} in this build, "
            f"{header.shape} in the checkpoint"
        )
    bad = [parent for parent in header.parents if not _DIGEST.fullmatch(parent)]
    if bad:
        raise CheckpointError(f"parents must be digests of 64 hex digits; got {bad}")
    return header, weights, actual


def _shape_of(header: Header) -> dict[str, int]:
    return describe(shape_of(header.architecture)) | {
        name: 1 for name in AUXILIARY if name in header.shape
    }
