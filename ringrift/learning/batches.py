"""Batches of samples: a pure function of seed and step, so that a resumed training sees the same
batches."""

from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ringrift.learning.window import Window
from ringrift.nets.arrays import Floats, Int16s, Int64s
from ringrift.nets.batch import Batch, Batcher, NnueBatch, NnueBatcher
from ringrift.nets.encoding import RELATIVE_SEATS
from ringrift.nets.symmetry import ORDER_KEEPING, grid_tables
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry

SHUFFLE_STREAM: Final = 0
SYMMETRY_STREAM: Final = 1


class Ends(NamedTuple):
    """The ends of the games of B samples, seen from the seat to act."""

    ranks: Tensor
    """int64 [B, RELATIVE_SEATS] final rank of each relative seat, from 0; 0 for absent seats"""
    owners: Tensor
    """int64 [B, H, W] owner of a cell: 0 none, else 1 + relative seat"""
    moves_left: Tensor
    """float32 [B] log(1 + plies to the end)"""


class Sampled(NamedTuple):
    """B samples with M legal moves in total."""

    batch: Batch | NnueBatch
    """arguments of the network"""
    policy: Tensor
    """float32 [M], improved policy"""
    slot: Tensor
    """int64 [M], index of the move within its sample"""
    moves_max: int
    """length of the longest list of moves"""
    values: Tensor
    """float32 [B, RELATIVE_SEATS], targets by relative seat"""
    present: Tensor
    """float32 [RELATIVE_SEATS], 1 for seats of the game, else 0"""
    weight: Tensor
    """float32 [B]"""
    ends: Ends | None
    """targets of auxiliary heads, None if there are none"""
    config: Config


class Sampler:
    """Draws batches from the samples `chosen` of a window, in a new order in each epoch and each
    sample under a random symmetry."""

    def __init__(
        self,
        window: Window,
        chosen: Int64s,
        *,
        batch: int,
        seed: int,
        root_value_mix: float = 0.0,
        ends: bool = False,
        encoder: Batcher | NnueBatcher | None = None,
    ) -> None:
        """`root_value_mix` is the share of the root value in the value target. `ends` adds the
        targets of auxiliary heads. `encoder` encodes the network's input; the default is that of
        towers without threat planes."""
        if not len(chosen):
            raise ValueError("no samples to draw from")
        self.window, self.chosen, self.seed = window, chosen, seed
        self.batch = min(batch, len(chosen))
        self._mix, self._with_ends = root_value_mix, ends
        self._grids, self._geometry = grid_tables(window.config), geometry(window.config)
        self._encoder = encoder or Batcher(self._geometry, self._grids)
        self._epoch, self._order = -1, chosen

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches of one epoch; the remaining samples are left out of it."""
        return len(self.chosen) // self.batch

    def samples_at(self, step: int) -> Int64s:
        """Return the indices of the samples of training step `step` (from 0)."""
        epoch, index = divmod(step, self.batches_per_epoch)
        if epoch != self._epoch:
            random = np.random.default_rng((self.seed, SHUFFLE_STREAM, epoch))
            self._epoch, self._order = epoch, random.permutation(self.chosen)
        return self._order[index * self.batch : (index + 1) * self.batch]

    def at(self, step: int, part: int = 0, parts: int = 1) -> Sampled:
        """Return the batch of training step `step` (from 0), or part `part` of `parts` of it; valid
        until the next call."""
        samples = self.samples_at(step)
        random = np.random.default_rng((self.seed, SYMMETRY_STREAM, step)).random(len(samples))
        choices = np.where(self.window.order_bound[samples], len(ORDER_KEEPING), len(self._grids))
        return self.take(samples[part::parts], (random * choices).astype(np.int16)[part::parts])

    def take(self, samples: Int64s, symmetry: Int16s | None = None) -> Sampled:
        """Return these samples, transformed by the symmetries with these indices (`ORDER_KEEPING`
        are first in every table)."""
        window = self.window
        states, codes, offsets, policy = window.positions(samples)
        lengths = np.diff(offsets)
        slot = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        batch = self._encoder.encode(states, codes, offsets, symmetry)
        return Sampled(
            batch=batch,
            policy=torch.from_numpy(policy),
            slot=torch.from_numpy(slot),
            moves_max=int(lengths.max()),
            values=torch.from_numpy(self._values(samples)),
            present=(torch.arange(RELATIVE_SEATS) < window.config.seats).float(),
            weight=torch.from_numpy(window.weight[samples]),
            ends=self._ends(samples, symmetry) if self._with_ends else None,
            config=window.config,
        )

    def _by_relative_seat(self, samples: Int64s, table: Floats | Int64s) -> Floats | Int64s:
        """Return `table[B, n]` by absolute seat as `[B, RELATIVE_SEATS]`, 0 for absent seats."""
        seats = self.window.config.seats
        columns = (np.arange(seats)[None] + self.window.mover[samples][:, None] - 1) % seats
        found = np.zeros((len(samples), RELATIVE_SEATS), table.dtype)
        found[:, :seats] = np.take_along_axis(table, columns, axis=1)
        return found

    def _ends(self, samples: Int64s, symmetry: Int16s | None) -> Ends:
        """Return the ends of the games, with seats and cells transformed as in the input."""
        window, geo, game = self.window, self._geometry, self.window.game[samples]
        ranks = self._by_relative_seat(samples, window.ranks[game].astype(np.int64) - 1)
        owners = window.owners[game].astype(np.int64)
        mover = window.mover[samples][:, None]
        relative = np.where(owners > 0, 1 + (owners - mover) % window.config.seats, 0)
        chosen = np.zeros(len(samples), np.int16) if symmetry is None else symmetry
        places = self._grids[chosen][:, geo.cell_of].astype(np.int64)
        cells = np.zeros((len(samples), geo.width**2), np.int64)
        np.put_along_axis(cells, places, relative, axis=1)
        return Ends(
            torch.from_numpy(ranks),
            torch.from_numpy(cells.reshape(-1, geo.width, geo.width)),
            torch.from_numpy(np.log1p(window.plies_left(samples)).astype(np.float32)),
        )

    def _values(self, samples: Int64s) -> Floats | Int64s:
        """Return the targets by relative seat, a mix of outcome and root value."""
        outcome, root = self.window.outcome[samples], self.window.root_value[samples]
        mixed = ((1 - self._mix) * outcome + self._mix * root).astype(np.float32)
        return self._by_relative_seat(samples, mixed)
