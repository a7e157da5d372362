"""Checkpoints: a network as a safetensors file with a header. Its name is the SHA-256 of the bytes.

Loading reads only numbers and JSON, never pickled objects, and rejects what does not fit this
build: another encoder or rules version, an unknown architecture, missing, surplus or misshapen
tensors. `Checkpoint` is what all kinds of networks share, `TowerCheckpoint` that of a tower."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Final, Generic, Self, TypeVar, cast

import msgspec
import numpy as np
import torch
from torch import nn

from ringrift.errors import Permanent, RingRiftError
from ringrift.nets import shapes
from ringrift.nets.architectures import Tower, build
from ringrift.nets.encoding import ENCODER
from ringrift.nets.tensors import Arrays, TensorError, pack, unpack
from ringrift.rules import Config, ConfigError
from ringrift.rules.version import RULES_VERSION

FORMAT: Final = 1
WEIGHT_MAX: Final = 1e6  # trained weights stay below a hundred
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

Network = TypeVar("Network", bound=nn.Module)


class CheckpointError(RingRiftError, Permanent):
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
class Checkpoint(ABC, Generic[Network]):
    """A checked header, the weights by name, and the digest of the bytes they came from.

    Each kind of network has a subclass with the key of its header in the metadata of the file and
    the version of its encoder."""

    KEY: ClassVar[str]
    ENCODER: ClassVar[str]

    header: Header
    weights: Arrays
    digest: str

    @staticmethod
    @abstractmethod
    def fresh(header: Header) -> Network:
        """Return a network of the header's architecture with fresh weights. Raises
        UnknownArchitecture, ConfigError."""

    @classmethod
    def parse(cls, data: bytes, *, digest: str | None = None) -> Self:
        """Return the checkpoint in `data`. Raises CheckpointError, also if `digest` is given and is
        not that of `data`."""
        actual = digest_of(data)
        if digest is not None and digest != actual:
            raise CheckpointError(f"digest {actual}, expected {digest}; fetch the blob again")
        header, weights = _read(data, cls.KEY)
        _check(header, cls.ENCODER)
        try:
            network = cls.fresh(header)
        except (shapes.UnknownArchitecture, ConfigError) as error:
            raise CheckpointError(str(error)) from error
        shape = _shape_of(network)
        if header.shape != shape:
            raise CheckpointError(
                f"{header.architecture} has shape {shape} in this build, "
                f"{header.shape} in the checkpoint"
            )
        load_weights(network, weights)
        return cls(header, weights, actual)

    def network(self) -> Network:
        """Return a network with these weights. Raises CheckpointError if they do not fit the
        architecture."""
        network = self.fresh(self.header)
        load_weights(network, self.weights)
        return network

    @classmethod
    def save(
        cls,
        network: Network,
        *,
        architecture: str,
        config: Config,
        parents: tuple[str, ...] = (),
        notes: dict[str, str] | None = None,
    ) -> bytes:
        """Return `network` as bytes, which depend only on its weights and the header."""
        header = Header(
            format=FORMAT,
            architecture=shapes.canonical(architecture),
            shape=_shape_of(network),
            config_key=config.key,
            encoder=cls.ENCODER,
            rules_version=RULES_VERSION,
            parents=parents,
            notes=notes or {},
        )
        text = msgspec.json.encode(header, order="sorted").decode()
        return pack(weights_of(network), {cls.KEY: text})


class TowerCheckpoint(Checkpoint[Tower]):
    """The checkpoint of a tower."""

    KEY = "ringrift"
    ENCODER = ENCODER

    @staticmethod
    def fresh(header: Header) -> Tower:
        heads = header.shape.keys() & shapes.AUXILIARY
        hex_board = header.config.shape.hex
        return build(header.architecture, hex_board=hex_board, auxiliary=heads)


def _shape_of(network: nn.Module) -> dict[str, int]:
    return shapes.describe(cast(shapes.TowerShape | shapes.NnueShape, network.shape))


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of the bytes as 64 hex digits, the name of the model."""
    return sha256(data).hexdigest()


def weights_of(network: nn.Module) -> Arrays:
    """Return the weights by name, in host memory and C order."""
    return {
        name: np.ascontiguousarray(tensor.detach().cpu().numpy())
        for name, tensor in network.state_dict().items()
    }


def load_weights(network: nn.Module, weights: Arrays) -> None:
    """Copy `weights` into `network`. Raises CheckpointError that names missing, surplus or
    misshapen tensors, or one with a value that no training gives."""
    own = network.state_dict()
    missing, surplus = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if missing or surplus:
        raise CheckpointError(
            f"tensors do not fit the architecture: missing {missing}, surplus {surplus}"
        )
    for name, tensor in own.items():
        array, shape = weights[name], tuple(tensor.shape)
        if array.shape != shape or array.dtype != np.float32:
            raise CheckpointError(
                f"tensor {name!r} is {array.dtype} {array.shape}, expected float32 {shape}"
            )
        if not (np.abs(array) <= WEIGHT_MAX).all():
            raise CheckpointError(f"tensor {name!r} is not finite or exceeds {WEIGHT_MAX:g}")
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(array.copy()))


def _read(data: bytes, key: str) -> tuple[Header, Arrays]:
    """Return the header stored under `key` and the tensors, both unchecked."""
    try:
        weights, metadata = unpack(data)
        if key in metadata:
            return msgspec.json.decode(metadata[key], type=Header), weights
    except (TensorError, msgspec.DecodeError) as error:
        raise CheckpointError(f"not a checkpoint: {error}") from error
    other = next((name for name in metadata if name.startswith("ringrift")), None)
    why = f"its header is {other}, expected {key}" if other else "it has no header of RingRift"
    raise CheckpointError(f"a tensor file, but not a network of the expected kind: {why}")


def _check(header: Header, encoder: str) -> None:
    """Check that versions and parents fit this build."""
    own = {"format": FORMAT, "encoder": encoder, "rules version": RULES_VERSION}
    stored = (header.format, header.encoder, header.rules_version)
    for (name, version), found in zip(own.items(), stored, strict=True):
        if found != version:
            raise CheckpointError(f"{name} {found!r}, this build has {version!r}; train it again")
    bad = [parent for parent in header.parents if not _DIGEST.fullmatch(parent)]
    if bad:
        raise CheckpointError(f"parents must be digests of 64 hex digits; got {bad}")
