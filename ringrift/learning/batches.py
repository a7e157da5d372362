"""Batches of samples: a pure function of seed and step, so that a resumed training sees the same
batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringrift.learning.window import Window
from ringrift.nets.batch import Bags, Batcher
from ringrift.nets.encoding import RELATIVE_SEATS
from ringrift.nets.symmetry import ORDER_KEEPING, grid_tables
from ringrift.rules.geometry import geometry

SHUFFLE_STREAM: Final = 0
SYMMETRY_STREAM: Final = 1


class Encoded(Protocol):
    """Input of a network for B positions with M legal moves."""

    @property
    def bags(self) -> Bags:
        """The bags of the moves."""

    def arguments(self) -> tuple[Any, ...]:
        """The arguments of the network's `forward`."""

    def to(self, device: torch.device) -> Self:
        """On `device`; itself if it is there."""


class Encoder(Protocol):
    """Encodes the input of a kind of network."""

    def encode(
        self,
        states: NDArray[np.int32],
        codes: NDArray[np.int64],
        offsets: NDArray[np.int64],
        symmetry: NDArray[np.int16] | None = None,
    ) -> Encoded:
        """Encode `states[B, S]` with legal moves `codes[offsets[i]:offsets[i + 1]]`, transformed by
        the symmetries of `grid_tables` with indices `symmetry[B]`."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of the games of B samples, seen from the seat to act.

    ranks        int64 [B, RELATIVE_SEATS] final rank of each relative seat, from 0; 0 for seats the
                 game does not have
    owners       int64 [B, H, W] owner of a cell: 0 none, else 1 + relative seat
    moves_left   float32 [B] log(1 + plies to the end)
    """

    ranks: Tensor
    owners: Tensor
    moves_left: Tensor

    def to(self, device: torch.device) -> Ends:
        """On `device`."""
        return Ends(self.ranks.to(device), self.owners.to(device), self.moves_left.to(device))


@dataclass(frozen=True, slots=True)
class Sampled:
    """B samples with M legal moves in total.

    batch    input of the network
    policy   float32 [M], improved policy; slot int64 [M], index of the move within its sample;
             moves_max the longest list
    values   float32 [B, RELATIVE_SEATS] targets by relative seat, `present` 1 for seats of the
             game, else 0
    weight   float32 [B]
    ends     targets of auxiliary heads, None if there are none
    """

    batch: Encoded
    policy: Tensor
    slot: Tensor
    moves_max: int
    values: Tensor
    present: Tensor
    weight: Tensor
    ends: Ends | None = None

    def to(self, device: torch.device) -> Sampled:
        """On `device`; itself if it is there."""
        if self.policy.device == device:
            return self
        return Sampled(
            self.batch.to(device),
            self.policy.to(device),
            self.slot.to(device),
            self.moves_max,
            self.values.to(device),
            self.present.to(device),
            self.weight.to(device),
            self.ends.to(device) if self.ends else None,
        )


class Sampler:
    """Draws batches from the samples `chosen` of a window, in a new order in each epoch and each
    sample under a random symmetry."""

    def __init__(
        self,
        window: Window,
        chosen: NDArray[np.int64],
        *,
        batch: int,
        seed: int,
        root_value_mix: float,
        features: bool = False,
        ends: bool = False,
        encoder: Encoder | None = None,
    ) -> None:
        """`features` and `ends` add the threat planes and the targets of auxiliary heads to the
        batches. `encoder` encodes the network's input; the default is that of towers."""
        if not len(chosen):
            raise ValueError("no samples to draw from")
        self.window, self.chosen, self.batch, self.seed = (
            window,
            chosen,
            min(batch, len(chosen)),
            seed,
        )
        self._mix = root_value_mix
        self._with_ends = ends
        self._grids = grid_tables(window.config)
        self._geometry = geometry(window.config)
        self._batcher: Encoder = encoder or Batcher(self._geometry, self._grids, features=features)
        self._epoch = -1
        self._order: NDArray[np.int64] = chosen

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches of one epoch; the remaining samples are left out of it."""
        return len(self.chosen) // self.batch

    def at(self, step: int, part: int = 0, parts: int = 1) -> Sampled:
        """Return the batch of training step `step` (from 0), or part `part` of `parts` of it; valid
        until the next call."""
        epoch, index = divmod(step, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.seed, SHUFFLE_STREAM, epoch)).permutation(
                self.chosen
            )
        samples = self._order[index * self.batch : (index + 1) * self.batch]
        random = np.random.default_rng((self.seed, SYMMETRY_STREAM, step)).random(len(samples))
        choices = np.where(self.window.order_bound[samples], len(ORDER_KEEPING), len(self._grids))
        return self.take(samples[part::parts], (random * choices).astype(np.int16)[part::parts])

    def take(
        self, samples: NDArray[np.int64], symmetry: NDArray[np.int16] | None = None
    ) -> Sampled:
        """Return these samples, transformed by the symmetries with these indices (`ORDER_KEEPING`
        are first in every table)."""
        window = self.window
        lengths = window.offsets[samples + 1] - window.offsets[samples]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        slot = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        flat = np.repeat(window.offsets[samples], lengths) + slot
        batch = self._batcher.encode(window.states[samples], window.codes[flat], offsets, symmetry)
        return Sampled(
            batch=batch,
            policy=torch.from_numpy(window.policy[flat]),
            slot=torch.from_numpy(slot),
            moves_max=int(lengths.max()),
            values=torch.from_numpy(self._values(samples)),
            present=(torch.arange(RELATIVE_SEATS) < window.config.seats).float(),
            weight=torch.from_numpy(window.weight[samples]),
            ends=self._ends(samples, symmetry) if self._with_ends else None,
        )

    def _ends(self, samples: NDArray[np.int64], symmetry: NDArray[np.int16] | None) -> Ends:
        """Return the ends of the games, with seats and cells transformed as in the input."""
        window, seats, geo = self.window, self.window.config.seats, self._geometry
        mover, game = window.mover[samples][:, None], window.game[samples]
        ranks = np.zeros((len(samples), RELATIVE_SEATS), np.int64)
        columns = (np.arange(seats)[None] + mover - 1) % seats
        ranks[:, :seats] = np.take_along_axis(window.ranks[game], columns, axis=1) - 1
        owners = window.owners[game].astype(np.int64)
        relative = np.where(owners > 0, 1 + (owners - mover) % seats, 0)
        grids = self._grids[np.zeros(len(samples), np.int16) if symmetry is None else symmetry][
            :, geo.cell_of
        ]
        cells = np.zeros((len(samples), geo.width**2), np.int64)
        np.put_along_axis(cells, grids.astype(np.int64), relative, axis=1)
        return Ends(
            torch.from_numpy(ranks),
            torch.from_numpy(cells.reshape(-1, geo.width, geo.width)),
            torch.from_numpy(np.log1p(window.plies_left[samples]).astype(np.float32)),
        )

    def _values(self, samples: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return targets by relative seat, a mix of outcome and root value; 0 for absent seats."""
        window, seats = self.window, self.window.config.seats
        absolute = (1 - self._mix) * window.outcome[samples] + self._mix * window.root_value[
            samples
        ]
        columns = (np.arange(seats)[None] + window.mover[samples][:, None] - 1) % seats
        values = np.zeros((len(samples), RELATIVE_SEATS), np.float32)
        values[:, :seats] = np.take_along_axis(absolute, columns, axis=1)
        return values
