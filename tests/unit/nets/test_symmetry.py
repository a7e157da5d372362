"""Symmetries hold for legal moves and their effects, and the omitted ones do not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support.symmetry import move_code

from ringrift.nets.symmetry import (
    HEX,
    ORDER_KEEPING,
    SQUARE,
    Symmetry,
    cell_table,
    grid_tables,
    symmetries,
)
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry
from ringrift.rules.moves import CLAIM, SKIP_RECOVERY, move_type
from ringrift.rules.position import Position


def cell_name(x: int, y: int) -> str:
    return f"{chr(ord('a') + x)}{y + 1}"


def parse_cell(name: str) -> tuple[int, int]:
    return ord(name[0]) - ord("a"), int(name[1:]) - 1


def image_of_text(config: Config, text: str, symmetry: Symmetry) -> str:
    """Return the text of the image of a position, independently of the tables under test."""
    last = config.shape.width - 1

    def moved(x: int, y: int) -> tuple[int, int]:
        u, v = symmetry.move(2 * x - last, 2 * y - last)
        return (u + last) // 2, (v + last) // 2

    fields = text.split(" ")
    cells = sorted(config.shape.cells, key=lambda cell: (cell[1], cell[0]))
    contents: dict[tuple[int, int], str] = {}
    walk = iter(cells)
    for part in re.findall(r"\d+(?![\d]*\))|\([1-4]+\)|[a-dA-D]", fields[1]):
        if part.isdigit():
            for _ in range(int(part)):
                next(walk)
        else:
            contents[moved(*next(walk))] = part
    rows = []
    for y in range(config.shape.width):
        row, empty = "", 0
        for cell in (cell for cell in cells if cell[1] == y):
            if cell in contents:
                row += (str(empty) if empty else "") + contents[cell]
                empty = 0
            else:
                empty += 1
        rows.append(row + (str(empty) if empty else ""))
    fields[1] = "/".join(rows)
    fields[5] = re.sub(
        r"(must|from)=([a-z]\d+)",
        lambda m: f"{m[1]}={cell_name(*moved(*parse_cell(m[2])))}",
        fields[5],
    )
    return " ".join(fields)


def differences(
    config: Config, symmetry: Symmetry, *, games: int, every: int, seed: int
) -> tuple[int, int]:
    """Compare positions of random games with their images. Return the number compared, and the
    number of those whose image has other legal moves or another effect of one."""
    rng = np.random.default_rng(seed)
    table = cell_table(config, symmetry)
    compared = wrong = 0
    for _ in range(games):
        position = Position.start(config)
        while not position.over:
            codes = np.sort(position.legal_codes())
            played = int(codes[rng.integers(len(codes))])
            slides = SKIP_RECOVERY in {move_type(int(c)) for c in codes}
            if not slides and len(codes) > 1 and rng.integers(every) == 0:
                compared += 1
                image = Position.parse(image_of_text(config, position.text(), symmetry))
                moved = [move_code(config, position.state, int(c), table) for c in codes]
                after, image_after = position.copy(), image.copy()
                if sorted(moved) != sorted(image.legal_codes().tolist()):
                    wrong += 1
                else:
                    after.play_code(played)
                    image_after.play_code(move_code(config, position.state, played, table))
                    wrong += image_of_text(config, after.text(), symmetry) != image_after.text()
            position.play_code(played)
    return compared, wrong


@pytest.mark.parametrize("key", ["square8_2p", "square8_4p", "hex8_2p", "hex8_3p"])
def test_every_symmetry_maps_legal_moves_and_their_effects(key: str) -> None:
    config = Config.parse(key)
    for index, symmetry in enumerate(symmetries(config)):
        compared, wrong = differences(config, symmetry, games=6, every=4, seed=index)
        assert compared > 50, symmetry.name
        assert wrong == 0, symmetry.name


@pytest.mark.parametrize("key", ["square19_2p", "hexagonal_2p"])
def test_every_symmetry_holds_on_the_large_boards(key: str) -> None:
    config = Config.parse(key)
    for index, symmetry in enumerate(symmetries(config)):
        compared, wrong = differences(config, symmetry, games=1, every=25, seed=index)
        assert compared > 1, symmetry.name
        assert wrong == 0, symmetry.name


def recovery_position(config: Config, rng: np.random.Generator) -> Position:
    """Return a position with many legal recovery slides, some of which make lines: seat 1 controls
    no stack, has two covered rings and many markers."""
    rows = []
    for y in range(config.shape.width):
        kinds = rng.choice(
            ["1", "a", "b", "A"],
            p=[0.5, 0.4, 0.05, 0.05],
            size=sum(cell[1] == y for cell in config.shape.cells),
        )
        rows.append(list(kinds))
    for y in (2, 5):
        rows[y][int(rng.integers(len(rows[y])))] = "(21)"
    hands = ",".join(["0", "12", "12", "12"][: config.seats])
    removed = ",".join(["0"] * config.seats)
    turn = f"1m {hands} {removed} last=2 2/2+1-/0/0 40"
    text = "/".join("".join(row) for row in merged(rows))
    return Position.parse(f"{config.board}/{config.seats} {text} {turn}")


def merged(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows with runs of empty cells as one number."""
    out = []
    for row in rows:
        parts: list[str] = []
        for kind in row:
            if kind == "1" and parts and parts[-1].isdigit():
                parts[-1] = str(int(parts[-1]) + 1)
            else:
                parts.append(kind)
        out.append(parts)
    return out


def holds(position: Position, symmetry: Symmetry) -> bool:
    """Return whether the image has the images of the legal moves and of their effects."""
    config, table = position.config, cell_table(position.config, symmetry)
    image = Position.parse(image_of_text(config, position.text(), symmetry))
    moved = [move_code(config, position.state, int(c), table) for c in position.legal_codes()]
    if sorted(moved) != image.legal_codes().tolist():
        return False
    for code, image_code in zip(position.legal_codes().tolist(), moved, strict=True):
        after, image_after = position.copy(), image.copy()
        after.play_code(code)
        image_after.play_code(image_code)
        if image_of_text(config, after.text(), symmetry) != image_after.text():
            return False
    return True


@pytest.mark.parametrize("key", ["square8_2p", "square8_3p", "hex8_2p", "hex8_4p", "hexagonal_2p"])
def test_only_the_half_turn_holds_where_recovery_is_legal(key: str) -> None:
    config = Config.parse(key)
    rng = np.random.default_rng(5)
    positions = [
        recovery_position(config, rng) for _ in range(1 if key.startswith("hexagonal") else 25)
    ]
    assert all(
        SKIP_RECOVERY in {move_type(int(c)) for c in position.legal_codes()}
        for position in positions
    )
    failing = set()
    for index, symmetry in enumerate(symmetries(config)):
        if index in ORDER_KEEPING:
            assert all(holds(position, symmetry) for position in positions), symmetry.name
        elif not all(holds(position, symmetry) for position in positions):
            failing.add(symmetry.name)
    assert failing


def test_the_omitted_symmetries_of_hex8_break_the_border_growth() -> None:
    """The worked example of section 11.4: its border grows over (+1, +1)."""
    position = Position.parse(BORDER_GROWTH)
    config = position.config
    [claim] = [
        int(c)
        for c in position.legal_codes()
        if move_type(int(c)) == CLAIM and position.token(int(c)).startswith("Ta5")
    ]
    kept = {symmetry.name for symmetry in symmetries(config)}
    for symmetry in HEX:
        image = Position.parse(image_of_text(config, position.text(), symmetry))
        after, image_after = position.copy(), image.copy()
        after.play_code(claim)
        image_after.play_code(
            move_code(config, position.state, claim, cell_table(config, symmetry))
        )
        same = image_of_text(config, after.text(), symmetry) == image_after.text()
        assert same == (symmetry.name in kept), symmetry.name


BORDER_GROWTH = "hex8/2 5/6/7/b7/1b1b(1)(2)3/b1a5/7/6/5 1t 17,17 0,0 acted,last=1 2/2+1-/1/2 9"


def test_tables_are_permutations_with_distinct_images() -> None:
    for key in ("square8_2p", "square19_2p", "hex8_2p", "hexagonal_2p"):
        config = Config.parse(key)
        tables = grid_tables(config)
        cells = geometry(config).cell_of
        images = {tuple(table[cells].tolist()) for table in tables}
        assert len(images) == len(tables) == len(symmetries(config))
        assert all(
            sorted(image) == sorted(geometry(config).grid_of[cells].tolist()) for image in images
        )
    assert (len(SQUARE), len(HEX)) == (8, 12)
