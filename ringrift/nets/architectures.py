"""The network: a residual trunk, heads for moves and values, and auxiliary heads for training."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringrift.nets.bags import KINDS, ROLES, Bags
from ringrift.nets.blocks import BoardConv, GlobalBias, MoveHead, Pool, ResidualBlock
from ringrift.nets.encoding import GLOBALS, PLANES, RELATIVE_SEATS, Plane
from ringrift.nets.features import FEATURES
from ringrift.nets.shapes import TowerShape, shape_of

RANKS: Final = RELATIVE_SEATS


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """Outputs of the auxiliary heads, None for heads that the network does not have.

    rank         [B, RELATIVE_SEATS, RANKS] logits of the final rank of each relative seat
    territory    [B, 1 + RELATIVE_SEATS, H, W] logits of the owner of a cell at the end: none, or a
                 relative seat
    moves_left   [B] log(1 + plies to the end)
    """

    rank: Tensor | None = None
    territory: Tensor | None = None
    moves_left: Tensor | None = None


class Tower(nn.Module):
    """Trunk and heads: logits of the legal moves, one value per relative seat, and the auxiliary
    heads of `shape`."""

    def __init__(self, shape: TowerShape, *, hex_board: bool) -> None:
        super().__init__()
        self.shape = shape
        self.global_every = shape.global_every
        self.stem = BoardConv(PLANES, shape.channels, hex_board=hex_board)
        self.stem_globals = nn.Linear(GLOBALS, shape.channels, bias=False)
        self.blocks = nn.ModuleList(
            ResidualBlock(shape.channels, hex_board=hex_board, squeeze=shape.squeeze)
            for _ in range(shape.blocks)
        )
        self.biases = nn.ModuleList(
            GlobalBias(shape.channels) for _ in range(shape.blocks // shape.global_every)
        )
        self.pool = Pool()
        context = 2 * shape.channels + GLOBALS
        self.policy = MoveHead(shape.channels, context, ROLES, KINDS, shape.policy_hidden)
        hidden = shape.value_hidden
        self.value = nn.Sequential(*_two_layers(context, hidden, RELATIVE_SEATS), nn.Tanh())
        if shape.features:
            self.stem_features = BoardConv(FEATURES, shape.channels, hex_board=hex_board)
        # The auxiliary heads come last, so that the other fresh weights do not depend on them.
        if shape.rank:
            self.rank = nn.Sequential(*_two_layers(context, hidden, RELATIVE_SEATS * RANKS))
        if shape.territory:
            self.territory = nn.Conv2d(shape.channels, 1 + RELATIVE_SEATS, 1)
        if shape.moves_left:
            self.moves_left = nn.Sequential(*_two_layers(context, hidden, 1))

    def trunk(
        self, planes: Tensor, globals_: Tensor, features: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Features of the cells `[B, C, H, W]` and of the position `[B, 2 C + GLOBALS]`."""
        mask = planes[:, Plane.ON_BOARD : Plane.ON_BOARD + 1]
        x = self.stem(planes) + self.stem_globals(globals_)[:, :, None, None]
        if self.shape.features:
            x = x + self.stem_features(features)
        x = functional.relu(x)
        for index, block in enumerate(self.blocks, 1):
            x = block(x, mask)
            if index % self.global_every == 0:
                x = self.biases[index // self.global_every - 1](x, mask)
        return x, torch.cat((self.pool(x, mask), globals_), 1)

    def forward(
        self, planes: Tensor, globals_: Tensor, bags: Bags[Tensor], features: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits `[M]` and values `[B, RELATIVE_SEATS]` in -1..1.

        Takes `planes[B, PLANES, H, W]`, `globals_[B, GLOBALS]` and the bags of M moves; shapes with
        threat planes also take `features[B, FEATURES, H, W]`. A game with n seats uses the first n
        values."""
        x, context = self.trunk(planes, globals_, features)
        return self._heads(x, context, bags)

    def learn(
        self, planes: Tensor, globals_: Tensor, bags: Bags[Tensor], features: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Auxiliary]:
        """Return the results of `forward` and of the auxiliary heads."""
        x, context = self.trunk(planes, globals_, features)
        logits, values = self._heads(x, context, bags)
        with torch.autocast(x.device.type, enabled=False):
            x, context = x.float(), context.float()
            rank = self.rank(context).view(-1, RELATIVE_SEATS, RANKS) if self.shape.rank else None
            territory = self.territory(x) if self.shape.territory else None
            left = self.moves_left(context).squeeze(1) if self.shape.moves_left else None
        return logits, values, Auxiliary(rank, territory, left)

    def _heads(self, x: Tensor, context: Tensor, bags: Bags[Tensor]) -> tuple[Tensor, Tensor]:
        # The heads stay in float32 when the trunk runs in bfloat16: they are cheap, and rounding
        # would give similar moves equal logits.
        with torch.autocast(x.device.type, enabled=False):
            context = context.float()
            logits = self.policy(x.float(), context, bags)
            return logits, self.value(context)


def _two_layers(inputs: int, hidden: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)


def build(name: str, *, hex_board: bool, seed: int = 0, auxiliary: Collection[str] = ()) -> Tower:
    """Return a network with fresh weights, which depend only on `seed`, and with the heads
    `auxiliary` of `AUXILIARY`. Raises UnknownArchitecture."""
    shape = replace(shape_of(name), **dict.fromkeys(auxiliary, 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Tower(shape, hex_board=hex_board)
    # The stubs of torch do not know this overload
    return cast(Tower, cast(Any, network).to(memory_format=torch.channels_last))
