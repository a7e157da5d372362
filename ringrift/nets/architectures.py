"""The networks by name. A new one is a row of `ARCHITECTURES`."""

from dataclasses import asdict, dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringrift.nets.bags import KINDS, ROLES
from ringrift.nets.blocks import BoardConv, GlobalBias, MoveHead, Pool, ResidualBlock
from ringrift.nets.encoding import GLOBALS, PLANES, RELATIVE_SEATS, Plane


class UnknownArchitecture(ValueError):
    """No network has this name; the text lists those that exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerShape:
    """A residual tower: `blocks` of `channels`, a global bias after every `global_every` of them, widths of the two heads."""

    blocks: int
    channels: int
    global_every: int
    policy_hidden: int
    value_hidden: int


ARCHITECTURES: Final[dict[str, TowerShape]] = {
    # for a laptop: about 14 million multiply-adds a position on hex8, twelve thousand positions a second on two cores
    "v2-micro": TowerShape(blocks=4, channels=32, global_every=2, policy_hidden=32, value_hidden=64),
}


class Tower(nn.Module):
    """Trunk and two heads: logits of the legal moves, one value per relative seat."""

    def __init__(self, shape: TowerShape, *, hex_board: bool) -> None:
        super().__init__()
        self.global_every = shape.global_every
        self.stem = BoardConv(PLANES, shape.channels, hex_board=hex_board)
        self.stem_globals = nn.Linear(GLOBALS, shape.channels, bias=False)
        self.blocks = nn.ModuleList(ResidualBlock(shape.channels, hex_board=hex_board) for _ in range(shape.blocks))
        self.biases = nn.ModuleList(GlobalBias(shape.channels) for _ in range(shape.blocks // shape.global_every))
        self.pool = Pool()
        context = 2 * shape.channels + GLOBALS
        self.policy = MoveHead(shape.channels, context, ROLES, KINDS, shape.policy_hidden)
        self.value = nn.Sequential(
            nn.Linear(context, shape.value_hidden), nn.ReLU(), nn.Linear(shape.value_hidden, RELATIVE_SEATS), nn.Tanh()
        )

    def trunk(self, planes: Tensor, globals_: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the cells `[B, C, H, W]` and of the position `[B, 2 C + GLOBALS]`."""
        mask = planes[:, Plane.ON_BOARD : Plane.ON_BOARD + 1]
        x = functional.relu(self.stem(planes) + self.stem_globals(globals_)[:, :, None, None])
        for index, block in enumerate(self.blocks, 1):
            x = block(x)
            if index % self.global_every == 0:
                x = self.biases[index // self.global_every - 1](x, mask)
        return x, torch.cat((self.pool(x, mask), globals_), 1)

    def forward(
        self, planes: Tensor, globals_: Tensor, rows: Tensor, starts: Tensor, weights: Tensor, kinds: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`planes[B, PLANES, H, W]`, `globals_[B, GLOBALS]` and the bags of M moves -> logits `[M]`, values
        `[B, RELATIVE_SEATS]` in -1..1, of which a game uses the first as many as it has seats."""
        x, context = self.trunk(planes, globals_)
        # the heads stay in float32 where the trunk runs in bfloat16: they are cheap, and similar moves must keep their own logits
        with torch.autocast(x.device.type, enabled=False):
            context = context.float()
            logits = self.policy(x.float(), context, rows, starts, weights, kinds, positions)
            return logits, self.value(context)


def shape_of(name: str) -> TowerShape:
    """The shape of the network called `name`. Raises UnknownArchitecture."""
    if name not in ARCHITECTURES:
        raise UnknownArchitecture(f"no network is called {name!r}; there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def build(name: str, *, hex_board: bool, seed: int = 0) -> Tower:
    """A network with fresh weights that depend on `seed` alone. Raises UnknownArchitecture."""
    shape = shape_of(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Tower(shape, hex_board=hex_board)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def describe(name: str) -> dict[str, int]:
    """The numbers of `shape_of(name)`, for a checkpoint's header."""
    return asdict(shape_of(name))
