"""Checkpoints: a network as a safetensors file with a header. Its name is the SHA-256 of the bytes.

Loading reads only numbers and JSON, never pickled objects, and rejects what does not fit this
build: another encoder or rules version, an unknown architecture, missing, surplus or misshapen
tensors. `Checkpoint` is what all kinds of networks share, `TowerCheckpoint` that of a tower."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, Self, TypeVar, cast

import msgspec
import numpy as np
import torch
from msgspec.structs import replace
from torch import nn

from ringrift.nets import shapes
from ringrift.nets.architectures import Tower, build
from ringrift.nets.boards import weights_on
from ringrift.nets.encoding import ENCODER
from ringrift.nets.header import FORMAT, Expected, Header, check_tensors, parsed
from ringrift.nets.tensors import Arrays, pack
from ringrift.rules import Config
from ringrift.rules.version import RULES_VERSION

Network = TypeVar("Network", bound=nn.Module)


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
    def expected(cls, header: Header) -> Expected:
        """Return what a checkpoint with this header contains. Raises as `fresh`."""
        network = cls.fresh(header)
        own = network.state_dict().items()
        return Expected(_shape_of(network), {name: tuple(tensor.shape) for name, tensor in own})

    @classmethod
    def parse(cls, data: bytes, *, digest: str | None = None) -> Self:
        """Return the checkpoint in `data`. Raises CheckpointError, also if `digest` is given and is
        not that of `data`."""
        found = parsed(data, cls.KEY, cls.ENCODER, cls.expected, digest=digest)
        return cls(found.header, found.tensors, found.digest)

    def network(self, config: Config | None = None) -> Network:
        """Return a network with these weights, as it plays `config`, by default that of the header.

        Raises CheckpointError if the weights do not fit the architecture, UnknownArchitecture if it
        does not support the seats."""
        config = config or self.header.config
        # in play the numbers of a board are in the weights
        shape = {name: n for name, n in self.header.shape.items() if name != "boards"}
        network = self.fresh(replace(self.header, config_key=config.key, shape=shape))
        load_weights(network, self.weights_on(config))
        return network

    def weights_on(self, config: Config) -> Arrays:
        """Return the weights with which it plays `config`. Raises UnknownArchitecture."""
        return weights_on(config, self.header, self.weights)

    @classmethod
    def save(
        cls,
        network: Network,
        *,
        architecture: str,
        config: Config,
        parents: tuple[str, ...] = (),
        notes: dict[str, str] | None = None,
        configs: tuple[str, ...] = (),
    ) -> bytes:
        """Return `network` as bytes, which depend only on its weights and the header; `configs` are
        those that it was trained on, if there are several."""
        header = Header(
            format=FORMAT,
            architecture=shapes.canonical(architecture),
            shape=_shape_of(network),
            config_key=config.key,
            encoder=cls.ENCODER,
            rules_version=RULES_VERSION,
            parents=parents,
            notes=notes or {},
            configs=configs,
        )
        fields = msgspec.to_builtins(header)
        if not configs:
            del fields["configs"]  # as in files of networks of one config, whose digests stay
        text = msgspec.json.encode(fields, order="sorted").decode()
        return pack(weights_of(network), {cls.KEY: text})


class TowerCheckpoint(Checkpoint[Tower]):
    """The checkpoint of a tower."""

    KEY = "ringrift"
    ENCODER = ENCODER

    @staticmethod
    def fresh(header: Header) -> Tower:
        heads = header.shape.keys() & {*shapes.AUXILIARY, "boards"}
        hex_board = header.config.shape.hex
        return build(header.architecture, hex_board=hex_board, auxiliary=heads)


def _shape_of(network: nn.Module) -> dict[str, int]:
    return shapes.describe(cast(shapes.TowerShape | shapes.NnueShape, network.shape))


def weights_of(network: nn.Module) -> Arrays:
    """Return the weights by name, in host memory and C order."""
    return {
        name: np.ascontiguousarray(tensor.detach().cpu().numpy())
        for name, tensor in network.state_dict().items()
    }


def load_weights(network: nn.Module, weights: Arrays) -> None:
    """Copy `weights` into `network`. Raises CheckpointError if they do not fit."""
    own = network.state_dict()
    check_tensors(weights, {name: tuple(tensor.shape) for name, tensor in own.items()})
    for name, tensor in own.items():
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(weights[name].copy()))
