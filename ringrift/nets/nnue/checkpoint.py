"""Checkpoints of NNUEs: the trained float weights. Integers are computed from them on loading, with
the same result on every machine, because rounding is exact."""

from ringrift.nets.checkpoint import Checkpoint, Header
from ringrift.nets.nnue.features import ENCODER
from ringrift.nets.nnue.network import Nnue, build
from ringrift.nets.shapes import describe, nnue_shape_of
from ringrift.nets.tensors import TensorError, unpack


class NnueCheckpoint(Checkpoint[Nnue]):
    """The checkpoint of an NNUE. The header's `encoder` is the name of the feature set with its
    digest."""

    KEY = "ringrift-nnue"
    ENCODER = ENCODER

    @staticmethod
    def shape_for(header: Header) -> dict[str, int]:
        return describe(nnue_shape_of(header.architecture, header.config))

    @staticmethod
    def fresh(header: Header) -> Nnue:
        return build(header.architecture, header.config)


def is_nnue(data: bytes) -> bool:
    """Return whether the bytes have the header of an NNUE."""
    try:
        return NnueCheckpoint.KEY in unpack(data)[1]
    except TensorError:
        return False
