"""Checkpoints of NNUEs: safetensors files with a header of their own kind and the trained float
weights. The name is the SHA-256 of the bytes.

Integers are computed from the floats on loading, with the same result on every machine, because
rounding is exact."""

from dataclasses import asdict, dataclass
from typing import Final

from ringrift.nets.checkpoint import FORMAT, CheckpointError, Header, checked, load_weights, write
from ringrift.nets.nnue.features import ENCODER
from ringrift.nets.nnue.network import Nnue, build
from ringrift.nets.shapes import nnue_shape_of
from ringrift.nets.tensors import Arrays, TensorError, unpack
from ringrift.rules.config import Config
from ringrift.rules.version import RULES_VERSION

HEADER_KEY: Final = "ringrift-nnue"


@dataclass(frozen=True, slots=True)
class NnueCheckpoint:
    """A checked header, the weights by name, and the digest of the bytes.

    The header's `encoder` is the name of the feature set with its digest."""

    header: Header
    weights: Arrays
    digest: str

    @classmethod
    def parse(
        cls, data: bytes, *, digest: str | None = None, config: Config | None = None
    ) -> "NnueCheckpoint":
        """Return the NNUE in `data`. Raises CheckpointError, also if it does not have the given
        `digest` or is not for the given `config`."""
        checkpoint = cls(
            *checked(data, key=HEADER_KEY, encoder=ENCODER, shape_of=_shape_of, digest=digest)
        )
        if config is not None and checkpoint.header.config != config:
            raise CheckpointError(
                f"an NNUE for {checkpoint.header.config_key} does not play {config.key}; "
                "train one for it"
            )
        checkpoint.network()
        return checkpoint

    def network(self) -> Nnue:
        """Return the network with these weights. Raises CheckpointError if they do not fit."""
        network = build(self.header.architecture, self.header.config)
        load_weights(network, self.weights)
        return network


def is_nnue(data: bytes) -> bool:
    """Return whether the bytes have the header of an NNUE."""
    try:
        return HEADER_KEY in unpack(data)[1]
    except TensorError:
        return False


def save(
    network: Nnue,
    *,
    architecture: str,
    config: Config,
    parents: tuple[str, ...] = (),
    notes: dict[str, str] | None = None,
) -> bytes:
    """Return `network` as bytes, which depend only on its weights and the header."""
    header = Header(
        format=FORMAT,
        architecture=architecture,
        shape=asdict(network.shape),
        config_key=config.key,
        encoder=ENCODER,
        rules_version=RULES_VERSION,
        parents=parents,
        notes=notes or {},
    )
    return write(network, header, key=HEADER_KEY)


def _shape_of(header: Header) -> dict[str, int]:
    return asdict(nnue_shape_of(header.architecture, header.config))
