"""Networks score legal moves: distinct moves have distinct inputs, every move has its logit and
every seat its value."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.positions import arrays_of, random_positions
from support.symmetry import move_code

from ringrift.nets.architectures import HEX_CORNERS, BoardConv, Tower, build
from ringrift.nets.bags import KIND_COUNTS, ROLES, Role
from ringrift.nets.batch import Batcher
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.encoding import GLOBALS, PLANES
from ringrift.nets.evaluator import Evaluator, in_chunks
from ringrift.nets.shapes import ARCHITECTURES, AUXILIARY, PARAMETERS, UnknownArchitecture, shape_of
from ringrift.nets.symmetry import cell_table, grid_tables, symmetries
from ringrift.rules import CONFIGS, Config, Position
from ringrift.rules.moves import CLAIM, LINE_ALL, PLACE, RECOVERY_PART, move_type

LINES = "square8/2 aaaaa3/8/2b5/8/8/(1)7/8/7(2) 1l 2,2 0,0 acted,last=1 0//0/0 9"
REGIONS = "square8/2 1a3a2/a1b5/8/8/8/5(21)2/6(1)1/8 2t 2,2 0,0 acted,last=2 0//0/0 9"
RECOVERIES = "square8/2 aaa1aaa1/3a4/8/1aa5/4(21)3/8/5(221)2/8 1m 0,2 0,0 last=2 0//0/0 40"


def network(config: Config) -> torch.nn.Module:
    return build("v2-micro", hex_board=config.shape.hex, seed=3).eval()


@pytest.mark.parametrize(
    ("key", "count"),
    [
        ("square8_2p", 120),
        ("hex8_2p", 120),
        ("square8_4p", 60),
        ("square19_2p", 6),
        ("hexagonal_3p", 4),
    ],
)
def test_distinct_legal_moves_have_distinct_bags(key: str, count: int) -> None:
    positions = random_positions(key, count=count, every=4)
    if key == "square8_2p":
        positions += [Position.parse(text) for text in (LINES, REGIONS, RECOVERIES)]
    batch = Batcher(positions[0].geometry).encode(*arrays_of(positions))
    starts, rows = batch.bags.starts.tolist(), batch.bags.rows.tolist()
    bags = [
        (position, kind, tuple(sorted(rows[first:last])))
        for position, kind, (first, last) in zip(
            batch.bags.positions.tolist(),
            batch.bags.kinds.tolist(),
            itertools.pairwise(starts),
            strict=True,
        )
    ]
    assert len(set(bags)) == len(bags)


def test_a_trunk_in_half_precision_gives_nearly_the_same_outputs() -> None:
    positions = random_positions("hex8_2p", count=60, every=4)
    batch = Batcher(positions[0].geometry).encode(*arrays_of(positions))
    net = network(positions[0].config)
    with torch.inference_mode():
        full = net(*batch)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(*batch)
    assert half[0].dtype == half[1].dtype == torch.float32
    assert not torch.equal(half[0], full[0])
    torch.testing.assert_close(half, full, atol=0.05, rtol=0.05)


def test_the_handmade_positions_have_lines_regions_and_recoveries() -> None:
    kinds = [
        {move_type(int(c)) for c in Position.parse(text).legal_codes()}
        for text in (LINES, REGIONS, RECOVERIES)
    ]
    assert LINE_ALL in kinds[0]
    assert CLAIM in kinds[1]
    assert RECOVERY_PART in kinds[2]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_one_network_serves_every_board(config: Config) -> None:
    logits, values = Evaluator(config, network(config)).evaluate(
        *arrays_of([Position.start(config)])
    )
    assert logits.shape == (3 * config.shape.width**2,) or config.shape.hex
    assert values.shape == (1, config.seats)
    assert np.abs(values).max() < 1


def test_logits_and_values_do_not_depend_on_the_rest_of_the_batch() -> None:
    positions = random_positions("hex8_2p", count=150)  # more than one chunk
    evaluator = Evaluator(positions[0].config, network(positions[0].config))
    logits, values = evaluator.evaluate(*arrays_of(positions))
    _, _, offsets = arrays_of(positions)
    for i in (0, 77, 149):
        alone, value = evaluator.evaluate(*arrays_of([positions[i]]))
        np.testing.assert_allclose(logits[offsets[i] : offsets[i + 1]], alone, atol=1e-5)
        np.testing.assert_allclose(values[i], value[0], atol=1e-5)


def test_logits_follow_the_order_of_the_moves() -> None:
    position = random_positions("square8_3p", count=1)[0]
    evaluator = Evaluator(position.config, network(position.config))
    codes = position.legal_codes()
    ends = np.array([0, len(codes)])
    logits, _ = evaluator.evaluate(position.state[None], codes, ends)
    backwards, _ = evaluator.evaluate(position.state[None], codes[::-1].copy(), ends)
    np.testing.assert_allclose(backwards[::-1], logits, atol=1e-6)


def test_values_are_given_by_absolute_seat() -> None:
    """Rotating the seats of a position rotates its values."""
    rows = "8/8/8/8/8/8"
    one = Position.parse(f"square8/3 (1)a(2)1(3)3/8/{rows} 1m 5,6,7 1,2,3 last=3 0//0/0 9")
    other = Position.parse(f"square8/3 (2)b(3)1(1)3/8/{rows} 2m 7,5,6 3,1,2 last=1 0//0/0 9")
    evaluator = Evaluator(one.config, network(one.config))
    values = [
        evaluator.evaluate(p.state[None], p.legal_codes(), np.array([0, len(p.legal_codes())]))[1][
            0
        ]
        for p in (one, other)
    ]
    np.testing.assert_allclose(values[1], np.roll(values[0], 1), atol=1e-6)
    assert len(np.unique(values[0])) == 3


@pytest.mark.parametrize("key", ["square8_2p", "hex8_2p", "hex8_4p"])
def test_bags_follow_the_symmetries_of_the_board(key: str) -> None:
    """Encoding a position under a symmetry gives the bags of the images of its moves."""
    positions = random_positions(key, count=30)
    config, geo = positions[0].config, positions[0].geometry
    states, codes, offsets = arrays_of(positions)
    for k, symmetry in enumerate(symmetries(config)):
        table = cell_table(config, symmetry)
        batch = Batcher(geo, grid_tables(config)).encode(
            states, codes, offsets, np.full(len(positions), k, np.int16)
        )
        starts, rows, kinds = (
            batch.bags.starts.numpy(),
            batch.bags.rows.numpy(),
            batch.bags.kinds.numpy(),
        )
        for i, position in enumerate(positions):
            for j in range(offsets[i], offsets[i + 1]):
                code = int(codes[j])
                assert kinds[j] // KIND_COUNTS == move_type(code)
                if move_type(code) == CLAIM:
                    continue  # its cells depend on the state; see the next test
                moved = move_code(config, position.state, code, table)
                assert named_rows(geo, i, moved) <= set(rows[starts[j] : starts[j + 1]].tolist())


def named_rows(geo, i: int, code: int) -> set[int]:
    """Return the table rows of the first two cells of a placement or plain move."""
    a, b = (code >> 5) & 1023, (code >> 15) & 1023
    base = i * geo.width**2
    if move_type(code) == PLACE:
        return {(base + int(geo.grid_of[a])) * ROLES + Role.PLACE}
    if a and b and not (code >> 25) & 1023:  # from and to, or the ends of a line
        first, last = (
            (Role.COLLAPSES, Role.COLLAPSES) if move_type(code) >= 15 else (Role.FROM, Role.TO)
        )
        return {
            (base + int(geo.grid_of[a])) * ROLES + first,
            (base + int(geo.grid_of[b])) * ROLES + last,
        }
    return set()


def test_the_bag_of_a_claim_is_its_region() -> None:
    position = Position.parse(REGIONS)
    codes = np.array(
        [c for c in position.legal_codes() if position.token(int(c)).startswith("Ta1/")]
    )
    batch = Batcher(position.geometry).encode(position.state[None], codes, np.array([0, 1]))
    assert batch.bags.rows.tolist() == [0 * ROLES + Role.COLLAPSES]  # region {a1}, grid cell 0
    assert batch.bags.weights.tolist() == [1.0]
    assert batch.bags.kinds.tolist() == [CLAIM * KIND_COUNTS + 1]


def test_hex_convolutions_ignore_the_two_corners_that_are_not_neighbours() -> None:
    # Also of a copy, as the replicas of a training are
    conv = copy.deepcopy(BoardConv(3, 5, hex_board=True))
    optimizer = torch.optim.AdamW(conv.parameters(), lr=0.1)
    for _ in range(3):
        conv(torch.randn(2, 3, 9, 9)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    for row, column in HEX_CORNERS:
        assert not conv.weight[:, :, row, column].any()
    assert (conv.weight != 0).sum() == 3 * 5 * 7
    x = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        assert torch.equal(conv.train()(x), conv.eval()(x))


def test_fresh_weights_depend_only_on_the_seed() -> None:
    torch.manual_seed(1)
    one = build("v2-micro", hex_board=True, seed=5).state_dict()
    after = torch.rand(1)
    torch.manual_seed(2)
    other = build("v2-micro", hex_board=True, seed=5).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    different = build("v2-micro", hex_board=True, seed=6).state_dict()
    assert not torch.equal(one["stem.weight"], different["stem.weight"])
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after)  # the caller's generator is not used


def test_the_error_for_an_unknown_architecture_lists_those_that_exist() -> None:
    with pytest.raises(UnknownArchitecture, match="v2-micro"):
        build("v9", hex_board=False)


def test_offsets_that_do_not_fit_are_rejected() -> None:
    position = Position.start(Config.parse("hex8_2p"))
    with pytest.raises(ValueError, match="offsets"):
        Batcher(position.geometry).encode(
            position.state[None], position.legal_codes(), np.array([0, 3])
        )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_reach_every_weight(name: str) -> None:
    """Of a small tower with the blocks of the architecture."""
    positions = random_positions("hex8_2p", count=64)
    shape = replace(
        shape_of(name),
        blocks=2,
        channels=16,
        global_every=1,
        squeeze=min(shape_of(name).squeeze, 4),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = Tower(replace(shape, rank=1, territory=1, moves_left=1), hex_board=True)
        with torch.no_grad():  # weights that start at zero block the gradient
            for parameter in net.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.1)
    batch = Batcher(positions[0].geometry, features=shape.features > 0).encode(
        *arrays_of(positions)
    )
    logits, values, more = net.learn(*batch)
    assert all(torch.equal(*pair) for pair in zip(net(*batch), (logits, values), strict=True))
    sum(
        out.square().sum() for out in (logits, values, more.rank, more.territory, more.moves_left)
    ).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert net.stem.weight.shape[1] == PLANES
    assert net.stem_globals.weight.shape[1] == GLOBALS


MILLIONS = {
    "v2": (2, 4),
    "v4": (3, 5),
    "v5-heavy": (8, 12),
    "v5-heavy-large": (25, 35),
    "v5-heavy-xl": (40, 50),
}


@pytest.mark.parametrize("name", MILLIONS)
def test_towers_have_the_required_number_of_parameters(name: str) -> None:
    """Requirements G04.01-.05."""
    low, high = MILLIONS[name]
    assert low * 1e6 <= PARAMETERS[name] <= high * 1e6


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_listed_parameters_are_those_of_the_network_on_every_board(name: str) -> None:
    for hex_board in (False, True):
        with torch.device("meta"):  # allocates no weights
            network = Tower(shape_of(name), hex_board=hex_board)
        assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]


def test_the_micro_network_has_the_weights_of_stored_checkpoints() -> None:
    """Networks of earlier builds stay loadable."""
    net = build("v2-micro", hex_board=True, seed=7)
    data = TowerCheckpoint.save(net, architecture="v2-micro", config=Config.parse("hex8_2p"))
    header = TowerCheckpoint.parse(data).header
    assert header.shape == {
        "blocks": 4,
        "channels": 32,
        "global_every": 2,
        "policy_hidden": 32,
        "value_hidden": 64,
    }
    assert sum(p.numel() for p in net.parameters()) == 127_396
    assert {name.split(".")[0] for name in net.state_dict()} == {
        "stem",
        "stem_globals",
        "blocks",
        "biases",
        "policy",
        "value",
    }


def test_auxiliary_heads_change_neither_the_fresh_weights_nor_the_outputs() -> None:
    positions = random_positions("hex8_2p", count=8)
    plain, more = (
        build("v2-micro", hex_board=True, seed=7, auxiliary=heads).eval()
        for heads in ((), AUXILIARY)
    )
    with torch.no_grad():
        batch = Batcher(positions[0].geometry).encode(*arrays_of(positions))
        assert all(torch.equal(*pair) for pair in zip(plain(*batch), more(*batch), strict=True))
        heads = more.learn(*batch)[2]
    width = positions[0].geometry.width
    assert heads.rank.shape == (8, 4, 4)
    assert heads.territory.shape == (8, 5, width, width)
    assert heads.moves_left.shape == (8,)


def limited(items_max: int, parts: list[tuple[int, int]]) -> Callable[[int, int], None]:
    """Return work that records its parts and exhausts the memory with more than `items_max`
    items."""

    def work(first: int, last: int) -> None:
        if last - first > items_max:
            raise torch.cuda.OutOfMemoryError("out of memory")
        parts.append((first, last))

    return work


def test_chunks_are_halved_until_they_fit_into_memory() -> None:
    parts: list[tuple[int, int]] = []
    size = in_chunks(50, 64, limited(13, parts))
    assert size == 12
    assert parts == [(0, 12), (12, 24), (24, 36), (36, 48), (48, 50)]


def test_an_item_that_exceeds_the_memory_is_an_error() -> None:
    with pytest.raises(torch.cuda.OutOfMemoryError):
        in_chunks(3, 2, limited(0, []))


def test_an_evaluator_keeps_the_size_of_chunks_that_fits() -> None:
    positions = random_positions("hex8_2p", count=50)
    arrays, config = arrays_of(positions), positions[0].config
    expected = Evaluator(config, network(config)).evaluate(*arrays)
    tower, sizes = network(config), list[int]()

    def small_gpu(planes: torch.Tensor, *rest: object) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.append(len(planes))
        if len(planes) > 13:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return Tower.forward(tower, planes, *rest)

    tower.forward = small_gpu
    evaluator = Evaluator(config, tower)
    for one, other in zip(evaluator.evaluate(*arrays), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    evaluator.evaluate(*arrays)
    assert sizes == [50, 25, *[12] * 4, 2, *[12] * 4, 2]
