"""The network: a residual trunk, heads for moves and values, and auxiliary heads for training.

Nothing in its building blocks depends on the size of a board."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringrift.nets.bags import KINDS, ROLES, Bags
from ringrift.nets.boards import BOARD_NUMBERS, HEX_CORNERS, KERNEL, board_numbers
from ringrift.nets.encoding import GLOBALS, PLANES, RELATIVE_SEATS, Plane
from ringrift.nets.features import FEATURES
from ringrift.nets.shapes import TowerShape, shape_of
from ringrift.rules.config import Config

RANKS: Final = RELATIVE_SEATS


class BoardConv(nn.Conv2d):
    """A 3 x 3 convolution over neighbouring cells. On hex boards the two taps that are not
    neighbours stay zero."""

    taps: Tensor

    def __init__(self, inputs: int, outputs: int, *, hex_board: bool, scale: float = 1.0) -> None:
        super().__init__(inputs, outputs, KERNEL, padding=KERNEL // 2)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.weight.mul_(scale)
        self.hex_board = hex_board
        taps = torch.ones(KERNEL, KERNEL)
        for row, column in HEX_CORNERS:
            taps[row, column] = 0.0
        self.register_buffer("taps", taps, persistent=False)
        if hex_board:
            with torch.no_grad():
                self.weight.mul_(taps)

    def forward(self, x: Tensor) -> Tensor:
        # The corners get gradients on squares only, if it is trained on both
        weight = self.weight * self.taps if self.hex_board else self.weight
        return functional.conv2d(x, weight, self.bias, padding=KERNEL // 2)


def pooled(x: Tensor, mask: Tensor) -> Tensor:
    """Return mean and maximum of `x[B, C, H, W]` over the cells of the board, `[B, 2 C]`;
    `mask[B, 1, H, W]` is 1 on the board."""
    masked = x * mask
    mean = masked.sum((2, 3)) / mask.sum((2, 3))
    return torch.cat((mean, masked.amax((2, 3))), 1)


class ResidualBlock(nn.Module):
    """relu(x + gate * conv(relu(conv(x)))). The second convolution starts at zero, so that a deep
    tower starts as the identity and needs no normalisation (Fixup, Zhang et al. 2019); it computes
    the same function in training and play.

    The gate is 1, or with `squeeze` one factor 0..1 a channel from the pooled board (squeeze and
    excitation, Hu et al. 2018)."""

    def __init__(self, channels: int, *, hex_board: bool, squeeze: int = 0) -> None:
        super().__init__()
        self.first = BoardConv(channels, channels, hex_board=hex_board)
        self.second = BoardConv(channels, channels, hex_board=hex_board, scale=0.0)
        self.gate = Gate(channels, channels // squeeze) if squeeze else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.second(functional.relu(self.first(x)))
        return functional.relu((self.gate(y, mask) * y if self.gate else y) + x)


class Gate(nn.Module):
    """A factor in 0..1 for each channel of `[B, C, H, W]`, computed from the mean and maximum of
    all channels over the board."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(2 * channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        hidden = functional.relu(self.squeeze(pooled(x, mask)))
        return torch.sigmoid(self.excite(hidden))[:, :, None, None]


class GlobalBias(nn.Module):
    """Adds a bias computed from the pooled board to every cell, so that distant cells matter
    (KataGo's global pooling, Wu 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * channels, channels)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        bias: Tensor = self.mix(pooled(x, mask))
        return x + bias[:, :, None, None]


class MoveHead(nn.Module):
    """Logits of legal moves from their bags (`ringrift.nets.bags`): w . silu(cells in their roles +
    kind + position)."""

    def __init__(self, channels: int, context: int, roles: int, kinds: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.roles = nn.Linear(channels, roles * hidden, bias=False)
        self.kind = nn.Embedding(kinds, hidden)
        self.context = nn.Linear(context, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        nn.init.normal_(self.kind.weight, std=0.5)

    def forward(self, x: Tensor, context: Tensor, bags: Bags[Tensor]) -> Tensor:
        """Return logits `[M]` from `x[B, C, H, W]`, `context[B, K]` and the bags of M moves as
        written by `fill_bags`."""
        table = self.roles(x.permute(0, 2, 3, 1)).reshape(-1, self.hidden)
        rows, starts, weights, kinds, positions = bags
        cells = functional.embedding_bag(
            rows, table, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
        )
        rest = self.kind(kinds) + self.context(context).index_select(0, positions)
        logits: Tensor = self.score(functional.silu(cells + rest)).squeeze(1)
        return logits


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

    board: Tensor

    def __init__(self, shape: TowerShape, *, hex_board: bool) -> None:
        super().__init__()
        self.shape = shape
        self.stem = BoardConv(PLANES, shape.channels, hex_board=hex_board)
        self.stem_globals = nn.Linear(GLOBALS, shape.channels, bias=False)
        self.blocks = nn.ModuleList(
            ResidualBlock(shape.channels, hex_board=hex_board, squeeze=shape.squeeze)
            for _ in range(shape.blocks)
        )
        self.biases = nn.ModuleList(
            GlobalBias(shape.channels) for _ in range(shape.blocks // shape.global_every)
        )
        context = 2 * shape.channels + GLOBALS
        self.policy = MoveHead(shape.channels, context, ROLES, KINDS, shape.policy_hidden)
        hidden = shape.value_hidden
        self.value = nn.Sequential(*_two_layers(context, hidden, RELATIVE_SEATS), nn.Tanh())
        if shape.boards:
            self.stem_board = nn.Linear(BOARD_NUMBERS, shape.channels, bias=False)
            nn.init.zeros_(self.stem_board.weight)
            self.register_buffer("board", torch.zeros(BOARD_NUMBERS), persistent=False)
        if shape.features:
            self.stem_features = BoardConv(FEATURES, shape.channels, hex_board=hex_board)
        # The auxiliary heads come last, so that the other fresh weights do not depend on them.
        if shape.rank:
            self.rank = nn.Sequential(*_two_layers(context, hidden, RELATIVE_SEATS * RANKS))
        if shape.territory:
            self.territory = nn.Conv2d(shape.channels, 1 + RELATIVE_SEATS, 1)
        if shape.moves_left:
            self.moves_left = nn.Sequential(*_two_layers(context, hidden, 1))

    def learn_on(self, config: Config) -> None:
        """Take the batches that follow as those of `config`; for a shape with `boards`."""
        for layer in self.modules():
            if isinstance(layer, BoardConv):
                layer.hex_board = config.shape.hex
        self.board.copy_(torch.from_numpy(board_numbers(config)))

    def trunk(
        self, planes: Tensor, globals_: Tensor, features: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Features of the cells `[B, C, H, W]` and of the position `[B, 2 C + GLOBALS]`."""
        mask = planes[:, Plane.ON_BOARD : Plane.ON_BOARD + 1]
        x = self.stem(planes) + self.stem_globals(globals_)[:, :, None, None]
        if self.shape.boards:
            x = x + self.stem_board(self.board)[:, None, None]
        if self.shape.features:
            x = x + self.stem_features(features)
        x = functional.relu(x)
        for index, block in enumerate(self.blocks, 1):
            x = block(x, mask)
            if index % self.shape.global_every == 0:
                x = self.biases[index // self.shape.global_every - 1](x, mask)
        return x, torch.cat((pooled(x, mask), globals_), 1)

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
    `auxiliary` of `AUXILIARY`, or `boards`. Raises UnknownArchitecture."""
    shape = replace(shape_of(name), **dict.fromkeys(auxiliary, 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Tower(shape, hex_board=hex_board)
    # The stubs of torch do not know this overload
    return cast(Tower, cast(Any, network).to(memory_format=torch.channels_last))
