"""Models ready to play. Torch is imported for towers only: it takes seconds and 200 MB."""

from ringrift.nets.header import CheckpointError
from ringrift.nets.nnue.evaluator import NnueEvaluator
from ringrift.nets.nnue.stored import is_nnue, load
from ringrift.rules.config import Config
from ringrift.search.harness import Model


def model_of(data: bytes, *, digest: str, config: str, threads: int | None = None) -> Model:
    """Return a model for games of `config` on this machine; an NNUE always on the CPU.

    `threads` limits those of torch. Raises CheckpointError, also if the bytes do not have the
    digest or are for another config, whose boards compiled code would read beyond their end."""
    if is_nnue(data):
        header, weights = load(data, digest=digest)
        _check_config(header.config_key, digest, config)
        evaluator = NnueEvaluator(Config.parse(config), weights)
        return Model(evaluator.evaluate, weights.has_policy, weights)
    import torch

    from ringrift.nets.checkpoint import TowerCheckpoint
    from ringrift.nets.evaluator import Evaluator

    if threads is not None:
        torch.set_num_threads(threads)
    checkpoint = TowerCheckpoint.parse(data, digest=digest)
    _check_config(checkpoint.header.config_key, digest, config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    evaluate = Evaluator(checkpoint.header.config, checkpoint.network(), device=device).evaluate
    return Model(evaluate)


def _check_config(found: str, digest: str, config: str) -> None:
    if found != config:
        raise CheckpointError(f"{digest} is for {found}, not {config}")
