"""Models ready to play. Torch is imported for towers only: it takes seconds and 200 MB."""

from ringrift.nets.header import CheckpointError
from ringrift.nets.nnue.evaluator import NnueEvaluator
from ringrift.nets.nnue.stored import is_nnue, load
from ringrift.nets.shapes import UnknownArchitecture
from ringrift.rules.config import Config
from ringrift.search.harness import Model


def model_of(data: bytes, *, digest: str, config: str, threads: int | None = None) -> Model:
    """Return a model for games of `config` on this machine; an NNUE always on the CPU.

    A network also plays boards and seats that it was not trained for (`ringrift.nets.boards`).
    `threads` limits those of torch. Raises CheckpointError, also if the bytes do not have the
    digest or the architecture does not support the seats."""
    try:
        return _model_of(data, digest, Config.parse(config), threads)
    except UnknownArchitecture as error:
        raise CheckpointError(f"{digest}: {error}") from error


def _model_of(data: bytes, digest: str, config: Config, threads: int | None) -> Model:
    if is_nnue(data):
        _, weights = load(data, digest=digest, config=config)
        return Model(NnueEvaluator(config, weights).evaluate, weights.has_policy, weights)
    import torch

    from ringrift.nets.checkpoint import TowerCheckpoint
    from ringrift.nets.evaluator import Evaluator

    if threads is not None:
        torch.set_num_threads(threads)
    network = TowerCheckpoint.parse(data, digest=digest).network(config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Model(Evaluator(config, network, device=device).evaluate, gpu=device == "cuda")
