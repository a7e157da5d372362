"""An NNUE as bytes: safetensors with a header of its own kind, float weights as trained. The SHA-256 of the bytes is its name.

Whole numbers are made from the floats when it is loaded, the same everywhere: rounding is exact arithmetic.
"""

from dataclasses import asdict, dataclass
from typing import Final

import msgspec

from ringrift.nets.checkpoint import CheckpointError, digest_of, load_weights, weights_of
from ringrift.nets.nnue import FeatureSet, Nnue, build
from ringrift.nets.shapes import UnknownArchitecture, nnue_shape_of
from ringrift.nets.tensors import Arrays, TensorError, pack, unpack
from ringrift.rules.config import Config
from ringrift.rules.errors import ConfigError
from ringrift.rules.version import RULES_VERSION

HEADER_KEY: Final = "ringrift-nnue"
FORMAT: Final = 1


class NnueHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an NNUE says of itself. `encoder` is the name of its features with their digest, `parents` are digests of networks."""

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
class NnueCheckpoint:
    """A checked header, the weights by name, and the digest of the bytes they came from."""

    header: NnueHeader
    weights: Arrays
    digest: str

    @classmethod
    def parse(
        cls, data: bytes, features: FeatureSet, *, digest: str | None = None, config: Config | None = None
    ) -> "NnueCheckpoint":
        """The NNUE in `data`, which must have `digest`, and be for `config`, if they are given. Raises CheckpointError."""
        actual = digest_of(data)
        if digest is not None and digest != actual:
            raise CheckpointError(f"the bytes have digest {actual}, expected {digest}; fetch the blob again")
        header, weights = _read(data)
        _check(header, features)
        if config is not None and header.config != config:
            raise CheckpointError(f"an NNUE for {header.config_key} does not play {config.key}; train one for it")
        checkpoint = cls(header, weights, actual)
        checkpoint.network(features)
        return checkpoint

    def network(self, features: FeatureSet) -> Nnue:
        """The network with these weights. Raises CheckpointError if they do not fit."""
        network = build(self.header.architecture, self.header.config, features)
        load_weights(network, self.weights)
        return network


def is_nnue(data: bytes) -> bool:
    """Whether the bytes are meant to be an NNUE, by the kind of their header."""
    try:
        return HEADER_KEY in unpack(data)[1]
    except TensorError:
        return False


def save(
    network: Nnue,
    features: FeatureSet,
    *,
    architecture: str,
    config: Config,
    parents: tuple[str, ...] = (),
    notes: dict[str, str] | None = None,
) -> bytes:
    """The bytes of `network`; the same weights and header give the same bytes everywhere."""
    header = NnueHeader(
        format=FORMAT,
        architecture=architecture,
        shape=asdict(network.shape),
        config_key=config.key,
        encoder=features.name,
        rules_version=RULES_VERSION,
        parents=parents,
        notes=notes or {},
    )
    return pack(weights_of(network), {HEADER_KEY: msgspec.json.encode(header, order="sorted").decode()})


def _read(data: bytes) -> tuple[NnueHeader, Arrays]:
    try:
        weights, metadata = unpack(data)
        if HEADER_KEY not in metadata:
            raise CheckpointError("a tensor file, but no NNUE: its header is of another kind")
        return msgspec.json.decode(metadata[HEADER_KEY], type=NnueHeader), weights
    except (TensorError, msgspec.DecodeError) as error:
        raise CheckpointError(f"not an NNUE: {error}") from error


def _check(header: NnueHeader, features: FeatureSet) -> None:
    if header.format != FORMAT:
        raise CheckpointError(f"NNUE format {header.format}; this build reads format {FORMAT}")
    if header.encoder != features.name:
        raise CheckpointError(f"trained with features {header.encoder!r}, this build has {features.name!r}; train it anew")
    if header.rules_version != RULES_VERSION:
        raise CheckpointError(f"trained under rules version {header.rules_version}, this build has {RULES_VERSION}")
    try:
        shape = asdict(nnue_shape_of(header.architecture, Config.parse(header.config_key)))
    except (UnknownArchitecture, ConfigError) as error:
        raise CheckpointError(str(error)) from error
    if header.shape != shape:
        raise CheckpointError(f"{header.architecture} has shape {shape} in this build, the checkpoint says {header.shape}")
    bad = [parent for parent in header.parents if len(parent) != 64 or set(parent) - set("0123456789abcdef")]
    if bad:
        raise CheckpointError(f"parents are digests of 64 hex digits, not {bad}")
