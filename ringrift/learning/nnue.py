"""Training an NNUE from the shards the towers are trained from: a window holds positions, and their
features are taken from those.

Here the features of `ringrift.nets.nnue.features` and the network of `ringrift.nets.nnue.network`, which
do not know each other, meet."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Final, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ringrift.learning.batches import Sampled, Sampler
from ringrift.learning.loss import Losses, policy_loss
from ringrift.learning.training import Trainer, TrainingError
from ringrift.nets.architectures import Tower
from ringrift.nets.bags import ROLES, fill_bags, rows_max
from ringrift.nets.checkpoint import CheckpointError, load_weights
from ringrift.nets.nnue import checkpoint as checkpoints
from ringrift.nets.nnue import features as nf
from ringrift.nets.nnue.network import FeatureSet, Nnue, build
from ringrift.nets.shapes import NNUES, UnknownArchitecture
from ringrift.nets.symmetry import grid_tables
from ringrift.rules.config import Config
from ringrift.rules.geometry import T_AXES, T_AXIS, T_STRIDE_LOG2, geometry

FEATURES: Final = FeatureSet(
    name=f"{nf.FEATURE_SET}:{nf.feature_digest()}",
    levels=nf.LEVELS,
    globals_=nf.GLOBALS,
    global_one=nf.GLOBAL_ONE,
    together=nf.levels_together(),
)
"""The features of this build."""


@cache
def symmetric_places(config: Config) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """`places[K, area]`, `axes[K, AXES]`: where each symmetry of `grid_tables` puts a cell, in scan
    order, and an axis."""
    geo = geometry(config)
    grids = grid_tables(config)
    scan_at = np.full(geo.width**2, -1, np.int16)
    on_board = geo.grid_of >= 0
    scan_at[geo.grid_of[on_board]] = geo.scan_of[on_board]
    places = np.where(grids >= 0, scan_at[grids], np.int16(-1)).astype(np.int16)
    return places, np.array([_axes_of(config, grid) for grid in grids], np.int16)


def _axes_of(config: Config, grid: NDArray[np.int16]) -> list[int]:
    """The axis that each axis becomes where `grid[area]` puts the cells."""
    geo = geometry(config)
    stride, width = 1 << int(geo.table[T_STRIDE_LOG2]), geo.width
    deltas = geo.table[T_AXIS : T_AXIS + geo.table[T_AXES]].tolist()
    found = list(range(nf.AXES))
    for axis, delta in enumerate(deltas):
        start = next(int(c) for c in geo.cell_of if grid[c + delta] >= 0)
        (y0, x0), (y1, x1) = (
            divmod(int(grid[start]), width),
            divmod(int(grid[start + delta]), width),
        )
        image = (x1 - x0) * stride + y1 - y0
        found[axis] = deltas.index(image) if image in deltas else deltas.index(-image)
    return found


@dataclass(frozen=True, slots=True)
class NnueBatch:
    """Input of `Nnue.forward` for B positions of n seats, M moves, N rows of bags; without a policy
    no rows.

    features int64, lists one after another; starts int64 [B * n + 1]; globals_ float32 [B * n,
    GLOBALS]
    rows     int64 [N]; row_starts int64 [M + 1]; weights float32 [N]; kinds int64 [M]; positions
             int64 [M]
    """

    features: Tensor
    starts: Tensor
    globals_: Tensor
    rows: Tensor
    row_starts: Tensor
    weights: Tensor
    kinds: Tensor
    positions: Tensor

    def arguments(self) -> tuple[Tensor, ...]:
        """In the order of `Nnue.forward`."""
        return (
            self.features,
            self.starts,
            self.globals_,
            self.rows,
            self.row_starts,
            self.weights,
            self.kinds,
            self.positions,
        )

    def to(self, device: torch.device) -> Self:
        """On `device`; itself if it is there."""
        if self.features.device == device:
            return self
        return type(self)(*(tensor.to(device, non_blocking=True) for tensor in self.arguments()))


class NnueBatcher:
    """Makes batches of positions of one config; what it gives is the caller's."""

    def __init__(self, config: Config, *, policy: bool) -> None:
        """`policy`: whether the moves' bags are wanted too."""
        self.geometry, self._policy = geometry(config), policy
        self._grids = grid_tables(config)
        self._places, self._axes = symmetric_places(config)
        self._cells = np.zeros(self.geometry.n_cells, np.int32)
        self._region = np.zeros(self.geometry.n_cells, np.int16)
        self._indices = np.zeros(0, np.int32)

    def encode(
        self,
        states: NDArray[np.int32],
        codes: NDArray[np.int64],
        offsets: NDArray[np.int64],
        symmetry: NDArray[np.int16] | None = None,
    ) -> NnueBatch:
        """The batch of `states[B, S]` whose legal moves are `codes[offsets[i]:offsets[i + 1]]`;
        `symmetry[B]` by `grid_tables`."""
        geo, count = self.geometry, len(states)
        chosen = np.zeros(count, np.int16) if symmetry is None else symmetry
        room = count * geo.seats * nf.features_max(geo)
        if room > len(self._indices):
            self._indices = np.zeros(room, np.int32)
        starts = np.zeros(count * geo.seats + 1, np.int64)
        globals_ = np.zeros((count * geo.seats, nf.GLOBALS), np.int16)
        nf.collect(
            geo,
            states,
            self._places,
            self._axes,
            chosen,
            self._cells,
            self._indices,
            starts,
            globals_,
        )
        return NnueBatch(
            torch.from_numpy(self._indices[: starts[-1]].astype(np.int64)),
            torch.from_numpy(starts),
            torch.from_numpy(globals_.astype(np.float32) / np.float32(nf.GLOBAL_ONE)),
            *self.moves(states, codes, offsets, chosen),
        )

    def moves(
        self,
        states: NDArray[np.int32],
        codes: NDArray[np.int64],
        offsets: NDArray[np.int64],
        symmetry: NDArray[np.int16] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The last five tensors of `encode`."""
        chosen = np.zeros(len(states), np.int16) if symmetry is None else symmetry
        count, room = len(codes), rows_max(self.geometry, codes) if self._policy else 0
        rows, weights = np.zeros(room, np.int64), np.zeros(room, np.float32)
        starts, kinds, positions = (
            np.zeros(count + 1, np.int64),
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
        )
        used = 0
        if self._policy:
            used = fill_bags(
                self.geometry,
                states,
                codes,
                offsets,
                self._grids,
                chosen,
                self._region,
                rows,
                weights,
                starts,
                kinds,
                positions,
            )
        rows %= self.geometry.width**2 * ROLES  # from rows of the batch to rows of a position
        made = (rows[:used], starts, weights[:used], kinds, positions)
        one, two, three, four, five = (torch.from_numpy(array) for array in made)
        return one, two, three, four, five


class NnueTrainer(Trainer):
    """As `Trainer`, for the architectures of `ringrift.nets.nnue.network`; these have no auxiliary
    heads."""

    ROOT_VALUE_MIX: ClassVar[float] = 0.5
    """with outcomes alone 240 games of hex8_2p are learnt by heart: after 4 epochs the winners of
    60 others were told in 58 % of positions, with half root values in 65 % (before `CELL_SHARE`;
    one seed)"""

    def _load_teacher(self, data: bytes) -> Tower:
        raise TrainingError(
            f"no network can teach {self.settings.architecture}; empty training.distill_from"
        )

    def _new_network(self) -> nn.Module:
        try:
            return build(self.settings.architecture, self.window.config, FEATURES, seed=self.seed)
        except UnknownArchitecture as error:
            raise TrainingError(str(error)) from error

    def _new_sampler(self, chosen: NDArray[np.int64], root_value_mix: float) -> Sampler:
        shape = NNUES.get(self.settings.architecture)
        encoder = NnueBatcher(self.window.config, policy=shape is not None and shape.policy > 0)
        return Sampler(
            self.window,
            chosen,
            batch=self.settings.batch,
            seed=self.seed,
            root_value_mix=root_value_mix,
            encoder=encoder,
        )

    def _losses(self, network: nn.Module, sampled: Sampled) -> Losses:
        return nnue_losses(cast(Nnue, network), sampled, self.settings.value_weight)

    def _after_step(self) -> None:
        cast(Nnue, self.network).clip()

    def _load_start(self, start: bytes) -> None:
        own, config = self.settings.architecture, self.window.config
        try:
            parent = checkpoints.NnueCheckpoint.parse(start, FEATURES, config=config)
        except CheckpointError as error:
            raise TrainingError(
                f"cannot start {own} for {config.key} from the parent network: {error}"
            ) from error
        if parent.header.architecture != own:
            raise TrainingError(
                f"cannot start {own} for {config.key} from a {parent.header.architecture}"
            )
        load_weights(self.network, parent.weights)

    def model(self, *, notes: dict[str, str] | None = None) -> bytes:
        """The network as it is now, as the bytes of a checkpoint with its parent's digest."""
        parents = () if self._parent is None else (self._parent,)
        return checkpoints.save(
            cast(Nnue, self.network),
            FEATURES,
            architecture=self.settings.architecture,
            config=self.window.config,
            parents=parents,
            notes=notes,
        )


def nnue_losses(network: Nnue, sampled: Sampled, value_weight: float) -> Losses:
    """The loss of the towers; the policy's part is 0 for a network without one."""
    logits, values = network(*sampled.batch.arguments())
    weight = sampled.weight / sampled.weight.sum()
    squared = (values - sampled.values) ** 2 * sampled.present
    value = (weight * squared.sum(1) / sampled.present.sum()).sum()
    policy = (
        (weight * policy_loss(logits, sampled)).sum()
        if network.shape.policy
        else torch.zeros_like(value)
    )
    return Losses(policy + value_weight * value, policy, value)
