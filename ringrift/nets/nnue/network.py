"""The NNUE as trained with torch: sparse features, a wide first layer, two small layers, and one
strength per seat.

The same function in integers, for play, is `ringrift.nets.nnue.inference` and `policy`, whose
docstrings have the formulas; `quantise` gives their weights. What the features are does not matter
here: `FeatureSet` says how many a cell has and how they are numbered.

Each feature has a row per cell and a row that all cells share; their sum is used in play. The
shared row learns from every cell at once (the "feature factorizer" of nnue-pytorch), the row of the
cell, scaled by `CELL_SHARE`, ten times more slowly, so that a few hundred games suffice."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringrift.nets.bags import KINDS, ROLES, Bags
from ringrift.nets.checkpoint import Checkpoint
from ringrift.nets.encoding import RELATIVE_SEATS
from ringrift.nets.header import Header
from ringrift.nets.nnue import features as nf, sparse, stored
from ringrift.nets.nnue.quantise import CELL_SHARE
from ringrift.nets.shapes import NnueShape, nnue_shape_of
from ringrift.rules import Config, geometry

FIRST_MAX: Final = 1.0
"""Limit of each of the two rows of a feature: typical positions then use a part of int16 only."""
SECOND_MAX, OUT_MAX = 16.0, 64.0
"""Limits that prevent integer overflow; trained weights stay far below."""
FIRST_SPREAD: Final = 0.05
"""Standard deviation of fresh weights: about a hundred features are active, so sums have half a
unit."""
FIRST_BIAS: Final = 0.25
"""Fresh units start where clipping has a gradient."""


class Nnue(nn.Module):
    """Values of all seats, and logits of the legal moves if the shape has a policy."""

    def __init__(self, shape: NnueShape, config: Config) -> None:
        super().__init__()
        geo = geometry(config)
        self.shape, self.seats, self.levels = shape, config.seats, nf.LEVELS
        self.first = _bag_sums(geo.n_cells * nf.LEVELS, shape.hidden)
        self.shared = _bag_sums(nf.LEVELS, shape.hidden)
        self.first_bias = nn.Parameter(torch.full((shape.hidden,), FIRST_BIAS))
        self.second = nn.Linear(shape.hidden + nf.GLOBALS, shape.second)
        self.out = nn.Linear(shape.second, 1)
        # Races are nearly linear, and are learnt first this way
        self.direct = nn.Linear(nf.GLOBALS, 1, bias=False)
        nn.init.zeros_(self.direct.weight)
        nn.init.normal_(self.first.weight, std=FIRST_SPREAD / 2 / CELL_SHARE)
        nn.init.normal_(self.shared.weight, std=FIRST_SPREAD)
        if shape.policy:
            # The last component of a query is 1, for a score that does not depend on the position
            width = shape.policy + 1
            self.query = nn.Linear(shape.hidden + nf.GLOBALS, shape.policy)
            self.roles = _bag_sums(geo.width**2 * ROLES, width)
            self.kinds = nn.Embedding(KINDS, width)
            nn.init.normal_(self.roles.weight, std=0.1)
            nn.init.normal_(self.kinds.weight, std=0.1)

    def inputs(self, features: Tensor, starts: Tensor, globals_: Tensor) -> Tensor:
        """Return the inputs of the second layer, `[B * seats, hidden + globals]` in 0..1."""
        if features.device.type == "cpu":
            rows = self.first.weight, self.shared.weight, CELL_SHARE
            sums = sparse.sum_rows(*rows, features, starts) + self.first_bias
        else:
            shared = self.shared(features % self.levels, starts)
            sums = CELL_SHARE * self.first(features, starts) + shared + self.first_bias
        return torch.cat((sums.clamp(0.0, 1.0), globals_), 1)

    def strengths(self, inputs: Tensor) -> Tensor:
        """Return the strengths u `[B, seats]`, columns in the order of the perspectives."""
        hidden = self.second(inputs).clamp(0.0, 1.0)
        total = self.out(hidden) + self.direct(inputs[:, self.shape.hidden :])
        return total.view(-1, self.seats)  # type: ignore[no-any-return]

    def forward(
        self, features: Tensor, starts: Tensor, globals_: Tensor, bags: Bags[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return logits `[M]`, all 0 without a policy, and values `[B, RELATIVE_SEATS]`, 0 for
        seats that the game does not have.

        List l of `features`, from `starts[l]` to `starts[l + 1]`, is perspective `l % seats`
        (counted from the seat to act) of position `l // seats`; `globals_[B * seats, G]`. Bags of
        the M moves are as in `ringrift.nets.bags`, with rows counted within one position."""
        with torch.autocast(globals_.device.type, enabled=False):
            inputs = self.inputs(features, starts, globals_)
            values = values_of(self.strengths(inputs))
            values = functional.pad(values, (0, RELATIVE_SEATS - self.seats))
            if not self.shape.policy:
                return values.new_zeros(len(bags.kinds)), values
            query = self.query(inputs[:: self.seats])
            query = torch.cat((query, query.new_ones(len(query), 1)), 1)
            if query.device.type == "cpu":
                return sparse.score(query, self.roles.weight, self.kinds.weight, bags), values
            cells = self.roles(bags.rows, bags.starts, per_sample_weights=bags.weights)
            moves = cells + self.kinds(bags.kinds)
            return (moves * query[bags.positions]).sum(1), values

    def clip(self) -> None:
        """Clip the weights to the range of the integers; called after every step."""
        with torch.no_grad():
            self.first.weight.clamp_(-FIRST_MAX / CELL_SHARE, FIRST_MAX / CELL_SHARE)
            for weight in (self.shared.weight, self.first_bias):
                weight.clamp_(-FIRST_MAX, FIRST_MAX)
            for weight in (self.second.weight, self.second.bias):
                weight.clamp_(-SECOND_MAX, SECOND_MAX)
            for weight in (self.out.weight, self.out.bias, self.direct.weight):
                weight.clamp_(-OUT_MAX, OUT_MAX)


def _bag_sums(rows: int, width: int) -> nn.EmbeddingBag:
    return nn.EmbeddingBag(rows, width, mode="sum", include_last_offset=True)


def values_of(strengths: Tensor) -> Tensor:
    """Return v_a = mean over b of tanh((u_a - u_b) / 2), `[B, seats]`."""
    seats = strengths.shape[1]
    return torch.tanh((strengths[:, :, None] - strengths[:, None, :]) / 2).sum(2) / (seats - 1)


def build(name: str, config: Config, *, seed: int = 0) -> Nnue:
    """Return an NNUE with fresh weights, which depend only on `seed`.

    Raises UnknownArchitecture, also if it does not support the number of seats."""
    shape = nnue_shape_of(name, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Nnue(shape, config)


class NnueCheckpoint(Checkpoint[Nnue]):
    """The checkpoint of an NNUE: the trained float weights. Integers are computed from them on
    loading, with the same result on every machine, because rounding is exact.

    The header's `encoder` is the name of the feature set with its digest."""

    KEY = stored.KEY
    ENCODER = nf.ENCODER

    @staticmethod
    def fresh(header: Header) -> Nnue:
        return build(header.architecture, header.config)
