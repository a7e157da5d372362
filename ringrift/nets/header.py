"""The header of a checkpoint, and the checks of its bytes. Does not import torch, so that a process
that plays with an NNUE needs none."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
import numpy as np

from ringrift.errors import Permanent, RingRiftError
from ringrift.nets.shapes import UnknownArchitecture
from ringrift.nets.tensors import Arrays, TensorError, unpack
from ringrift.rules import Config, ConfigError
from ringrift.rules.version import RULES_VERSION

FORMAT: Final = 1
WEIGHT_MAX: Final = 1e6  # trained weights stay below a hundred
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class CheckpointError(RingRiftError, Permanent):
    """The bytes are not a usable network; the message says why and what would be."""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The header of a checkpoint. `shape` repeats the numbers of the architecture and names the
    auxiliary heads of a tower, `encoder` is the version of the input, `parents` are digests.

    `config_key` is the config that it was trained for, the first of `configs` if there are
    several."""

    format: int
    architecture: str
    shape: dict[str, int]
    config_key: str
    encoder: str
    rules_version: int
    parents: tuple[str, ...]
    notes: dict[str, str] = {}
    configs: tuple[str, ...] = ()

    @property
    def config(self) -> Config:
        """The config the network was trained for."""
        return Config.parse(self.config_key)


@dataclass(frozen=True, slots=True)
class Expected:
    """What this build makes of an architecture: its numbers, and the shape of each tensor."""

    shape: dict[str, int]
    tensors: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A checked header, the tensors by name, and the digest of the bytes they came from."""

    header: Header
    tensors: Arrays
    digest: str


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of the bytes as 64 hex digits, the name of the model."""
    return sha256(data).hexdigest()


def parsed(
    data: bytes,
    key: str,
    encoder: str,
    expected: Callable[[Header], Expected],
    *,
    digest: str | None = None,
) -> Parsed:
    """Return the checkpoint in `data` whose header is stored under `key`. Raises CheckpointError,
    also if `digest` is given and is not that of `data`.

    `expected` may raise UnknownArchitecture and ConfigError."""
    actual = digest_of(data)
    if digest is not None and digest != actual:
        raise CheckpointError(f"digest {actual}, expected {digest}; fetch the blob again")
    header, tensors = _read(data, key)
    _check(header, encoder)
    try:
        own = expected(header)
    except (UnknownArchitecture, ConfigError) as error:
        raise CheckpointError(str(error)) from error
    if header.shape != own.shape:
        raise CheckpointError(
            f"{header.architecture} has shape {own.shape} in this build, "
            f"{header.shape} in the checkpoint"
        )
    check_tensors(tensors, own.tensors)
    return Parsed(header, tensors, actual)


def check_tensors(tensors: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise CheckpointError that names missing, surplus or misshapen tensors, or one with a value
    that no training gives."""
    missing, surplus = sorted(shapes.keys() - tensors.keys()), sorted(tensors.keys() - shapes)
    if missing or surplus:
        raise CheckpointError(
            f"tensors do not fit the architecture: missing {missing}, surplus {surplus}"
        )
    for name, shape in shapes.items():
        array = tensors[name]
        if array.shape != shape or array.dtype != np.float32:
            raise CheckpointError(
                f"tensor {name!r} is {array.dtype} {array.shape}, expected float32 {shape}"
            )
        if not (np.abs(array) <= WEIGHT_MAX).all():
            raise CheckpointError(f"tensor {name!r} is not finite or exceeds {WEIGHT_MAX:g}")


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
