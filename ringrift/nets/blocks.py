"""Building blocks of the networks. Nothing in them depends on the size of a board."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringrift.nets.bags import Bags

KERNEL: Final = 3
HEX_CORNERS: Final = ((0, 0), (KERNEL - 1, KERNEL - 1))
"""Kernel taps (row, column) that are not hex neighbours: the cells at axial offsets (-1, -1) and
(+1, +1) are two steps away."""


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
        if hex_board:
            taps = torch.ones(KERNEL, KERNEL)
            for row, column in HEX_CORNERS:
                taps[row, column] = 0.0
            self.register_buffer("taps", taps, persistent=False)
            with torch.no_grad():
                self.weight.mul_(taps)

    def forward(self, x: Tensor) -> Tensor:
        # A tap that starts at zero and gets no gradient stays zero, so masking is needed only in
        # training.
        weight = self.weight * self.taps if self.hex_board and self.training else self.weight
        return functional.conv2d(x, weight, self.bias, padding=KERNEL // 2)


class Pool(nn.Module):
    """Mean and maximum of `[B, C, H, W]` over the cells of the board, `[B, 2 C]`; `mask[B, 1, H,
    W]` is 1 on the board."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
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
        self.pool = Pool()
        self.squeeze = nn.Linear(2 * channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        hidden = functional.relu(self.squeeze(self.pool(x, mask)))
        return torch.sigmoid(self.excite(hidden))[:, :, None, None]


class GlobalBias(nn.Module):
    """Adds a bias computed from the pooled board to every cell, so that distant cells matter
    (KataGo's global pooling, Wu 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = Pool()
        self.mix = nn.Linear(2 * channels, channels)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        bias: Tensor = self.mix(self.pool(x, mask))
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
