"""Invariants after every ply (section 19), and texts and copies equal to the position."""

import random

import numpy as np
import pytest
from support.positions import record_of, replayed

from ringrift.rules import CONFIGS, Config, Position, accessors as ac, geometry, layout as la
from ringrift.rules.layout import (
    LAND_MASK,
    MARK_MASK,
    OPEN_MASK,
    bit_of,
    mask_at,
    slot_of,
    stack_mask,
)
from ringrift.rules.table import T_SCRATCH_AT
from ringrift.tools.bench.playout import random_playout


def check_board(position: Position) -> int:
    """Recount everything from the cells and return S of section 19."""
    s, n = position.state, position.config.seats
    rings = [0] * (n + 1)
    controlled, markers, collapsed = [0] * (n + 1), [0] * (n + 1), [0] * (n + 1)
    for c in position.geometry.cell_of:
        height = ac.height_at(s, c)
        contents = (ac.marker_at(s, c) > 0, ac.collapsed_at(s, c) > 0, height > 0)
        assert sum(contents) <= 1
        markers[ac.marker_at(s, c)] += 1
        collapsed[ac.collapsed_at(s, c)] += 1
        stack = [ac.ring_at(s, c, i) for i in range(height)]
        assert ac.ring_at(s, c, height) == 0
        if stack:
            cap = next((i for i, ring in enumerate(stack) if ring != stack[0]), height)
            assert (ac.controller_at(s, c), ac.cap_at(s, c)) == (stack[0], cap)
            controlled[stack[0]] += 1
        for ring in stack:
            rings[ring] += 1
        check_masks(position, int(c))
    for seat in range(1, n + 1):
        assert rings[seat] == s[la.ON_BOARD + seat]
        assert s[la.HAND + seat] + rings[seat] <= position.config.rings_per_seat
        assert s[la.STACKS + seat] == controlled[seat]
        assert s[la.MARKERS + seat] == markers[seat]
        assert s[la.TERRITORY_OF + seat] == collapsed[seat]
    assert (
        sum(position.hands()) + sum(rings) + sum(position.removed())
        == n * position.config.rings_per_seat
    )
    return sum(markers[1:]) + sum(collapsed[1:]) + sum(position.removed())


def check_masks(position: Position, c: int) -> None:
    """The row masks agree with the cell."""
    s, t = position.state, position.geometry.table

    def has(mask: int) -> bool:
        return bool(s[mask_at(t, mask) + slot_of(t, c)] & bit_of(t, c))

    assert has(OPEN_MASK) == (ac.height_at(s, c) == 0 and ac.collapsed_at(s, c) == 0)
    assert has(LAND_MASK) == (ac.collapsed_at(s, c) == 0)
    for seat in range(1, position.config.seats + 1):
        assert has(MARK_MASK + seat) == (ac.marker_at(s, c) == seat)
        assert has(stack_mask(t, seat)) == (ac.controller_at(s, c) == seat)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_random_games_keep_the_invariants(config: Config) -> None:
    small = config.shape.width < 10
    for seed in range(4 if small else 1):
        rng = random.Random(f"{config.key} {seed}")
        position = Position.start(config, pie=config.seats == 2)
        moves: list[str] = []
        total = 0
        every = 1 if small else 25  # recounting a large board takes long
        while not position.over:
            legal = position.legal()
            assert legal
            assert len(set(legal)) == len(legal)
            assert position.legal_codes().size <= position.geometry.moves_max
            moves.append(rng.choice(legal))
            position.play(moves[-1])
            if len(moves) % every == 0 or position.over:
                now = check_board(position)
                assert (
                    total <= now <= len(config.shape.cells) + config.seats * config.rings_per_seat
                )
                total = now
        assert position.legal() == []
        assert position.winner in range(1, config.seats + 1)
        assert position.ranks()[position.winner - 1] == 1
        record = record_of(config, moves, pie=config.seats == 2)
        assert replayed(record).text() == position.text()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_text_and_tokens_round_trip_in_random_games(config: Config) -> None:
    rng = random.Random(config.key)
    position = Position.start(config, pie=config.seats == 2)
    every = 1 if config.shape.width < 10 else 40
    while not position.over:
        codes, legal = position.legal_codes(), position.legal()
        if position.ply % every == 0:
            assert [position.code(token) for token in legal] == codes.tolist()
            again = Position.parse(position.text())
            assert again.text() == position.text()
            assert np.array_equal(again.legal_codes(), codes)
        position.play_code(rng.choice(codes.tolist()))
    assert Position.parse(position.text()).text() == position.text()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_copying_a_row_copies_the_game(config: Config) -> None:
    board = geometry(config)
    out = np.empty(board.moves_max, np.int64)
    one = Position.start(config).state
    two = np.empty_like(one)
    la.copy_state(two, one)
    assert random_playout(board, one, 7, out) == random_playout(board, two, 7, out)
    assert np.array_equal(
        one[: board.table[T_SCRATCH_AT]], two[: board.table[T_SCRATCH_AT]]
    )  # up to scratch


def test_legal_moves_do_not_depend_on_scratch() -> None:
    config = Config.parse("hex8_3p")
    clean, dirty = Position.start(config), Position.start(config)
    rng = random.Random(5)
    while not clean.over:
        dirty.state[dirty.geometry.table[T_SCRATCH_AT] :] = rng.randrange(-(2**31), 2**31)
        move = rng.choice(clean.legal())
        assert dirty.legal() == clean.legal()
        clean.play(move)
        dirty.play(move)
    assert dirty.text() == clean.text()
