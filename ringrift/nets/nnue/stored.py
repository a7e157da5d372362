"""A stored NNUE as it plays. Does not import torch."""

from typing import Final

from ringrift.nets.boards import weights_on
from ringrift.nets.header import Expected, Header, Parsed, parsed
from ringrift.nets.nnue import features as nf
from ringrift.nets.nnue.policy import Weights
from ringrift.nets.nnue.quantise import quantise, tensor_shapes
from ringrift.nets.shapes import describe, nnue_shape_of
from ringrift.nets.tensors import TensorError, unpack
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry

KEY: Final = "ringrift-nnue"
"""Key of the header in the metadata of the file."""


def is_nnue(data: bytes) -> bool:
    """Return whether the bytes have the header of an NNUE."""
    try:
        return KEY in unpack(data)[1]
    except TensorError:
        return False


def load(
    data: bytes, *, digest: str | None = None, config: Config | None = None
) -> tuple[Header, Weights]:
    """Return the header of an NNUE, and the integers with which it plays `config`, by default that
    of the header. Raises CheckpointError, UnknownArchitecture."""
    found: Parsed = parsed(data, KEY, nf.ENCODER, _expected, digest=digest)
    tensors = weights_on(config or found.header.config, found.header, found.tensors)
    return found.header, quantise(tensors)


def _expected(header: Header) -> Expected:
    shape = nnue_shape_of(header.architecture, header.config)
    return Expected(describe(shape), tensor_shapes(geometry(header.config), shape))
