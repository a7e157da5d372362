"""The NNUE: trained from shards, quantised with small errors, stored and loaded with checks, and
played like other networks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from support.games import window_of
from support.samplers import OneBatch

from ringrift.events.facts import GameCompleted, SelfplayPlanned
from ringrift.events.participants import seat
from ringrift.events.settings import SelfplaySettings, TrainingSettings
from ringrift.events.tickets import SelfplayTicket
from ringrift.learning.families import NnueTrainer, TowerTrainer, checkpoint_of, trainer_of
from ringrift.learning.models import model_of
from ringrift.learning.play import Host, play_games, player_of
from ringrift.learning.shards import build_shard, read_shard
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import Progress, TrainingError
from ringrift.learning.window import Window, open_window
from ringrift.nets.batch import NnueBatcher, symmetric_places
from ringrift.nets.checkpoint import weights_of
from ringrift.nets.header import CheckpointError, digest_of
from ringrift.nets.nnue import features as nf, network as nets
from ringrift.nets.nnue.evaluator import NnueEvaluator
from ringrift.nets.nnue.features import describe
from ringrift.nets.nnue.network import NnueCheckpoint
from ringrift.nets.nnue.quantise import quantise
from ringrift.nets.nnue.stored import load
from ringrift.nets.symmetry import cell_table, grid_tables, symmetries
from ringrift.nets.tensors import pack, unpack
from ringrift.rules import Config
from ringrift.rules.geometry import geometry
from ringrift.search.harness import HarnessError, Model, Setup, make_player

SETTINGS = TrainingSettings(
    architecture="nnue", batch=32, checkpoint_steps=4, validation_fraction=0.3
)
POLICY = msgspec.structs.replace(SETTINGS, architecture="nnue_policy")
HEX8 = Config.parse("hex8_2p")
NAMES = (
    ("nnue", "hex8_2p"),
    ("nnue_policy", "square8_2p"),
    ("nnue_mp", "square8_3p"),
    ("nnue_policy", "hex8_4p"),
)


@pytest.fixture(scope="module")
def window() -> Window:
    return window_of("hex8_2p", 6)


@pytest.fixture(scope="module")
def data() -> bytes:
    network = nets.build("nnue_policy", HEX8, seed=4)
    return NnueCheckpoint.save(
        network, architecture="nnue_policy", config=HEX8, parents=("0f" * 32,), notes={"step": "12"}
    )


def trained_a_little(name: str, key: str) -> tuple[NnueTrainer, Window]:
    window = window_of(key, 2)
    settings = msgspec.structs.replace(
        SETTINGS, architecture=name, validation_fraction=0.0, learning_rate=1e-2
    )
    trainer = NnueTrainer(window, settings, seed=1, steps=12)
    trainer.run()
    return trainer, window


@pytest.mark.parametrize(("name", "key"), NAMES)
def test_integer_inference_is_close_to_the_float_network(name: str, key: str) -> None:
    trainer, window = trained_a_little(name, key)
    network, n = trainer.network.eval(), window.config.seats
    assert isinstance(network, nets.Nnue)
    some = np.arange(0, len(window), 3)
    drawn = trainer.samplers[0].take(some)
    with torch.inference_mode():
        float_logits, relative = (tensor.numpy() for tensor in network(*drawn.batch))
    evaluator = NnueEvaluator(window.config, quantise(weights_of(network)))
    logits, values = evaluator.evaluate(*window.positions(some)[:3])
    columns = (np.arange(n)[None] - (window.mover[some, None] - 1)) % n
    floats = np.take_along_axis(relative, columns, axis=1)
    assert floats.std() > 0.05
    assert np.abs(values - floats).max() < 0.03
    assert np.abs(values - floats).mean() < 0.01
    if network.shape.policy:
        assert float_logits.std() > 0.1
        assert np.abs(logits - float_logits).max() < 0.05
    else:
        assert not logits.any()


def test_the_unit_is_small_enough_to_prevent_overflow() -> None:
    network = nets.build("nnue", Config.parse("square8_2p"))
    with torch.no_grad():
        network.first.weight.fill_(1.0 / nets.CELL_SHARE)
        network.shared.weight.fill_(1.0)
    whole, _ = quantise(weights_of(network))
    assert 1 < whole.one < 127
    most = max(len(group) for group in nf.levels_together())
    assert 64 * most * int(whole.first.max()) + int(whole.first_bias.max()) <= 32767


def test_the_levels_of_every_cell_are_within_one_group(window: Window) -> None:
    geo = geometry(HEX8)
    groups = [set(group) for group in nf.levels_together()]
    cells, out = np.zeros(geo.n_cells, np.int32), np.zeros(nf.features_max(geo), np.int32)
    places, axes = nf.plain_places(geo)
    for state in window.positions().states[::5]:
        describe(geo, state, cells)
        used = nf.active_features(geo, cells, 1, places, axes, out)
        for cell in set((out[:used] // nf.LEVELS).tolist()):
            levels = {int(index) % nf.LEVELS for index in out[:used] if index // nf.LEVELS == cell}
            assert any(levels <= group for group in groups)


@pytest.mark.parametrize("key", ["square8_2p", "hex8_3p", "hexagonal_2p"])
def test_symmetric_places_map_cells_and_axes(key: str) -> None:
    config = Config.parse(key)
    geo = geometry(config)
    places, axes = symmetric_places(config)
    for index, symmetry in enumerate(symmetries(config)):
        table = cell_table(config, symmetry)
        assert all(places[index, c] == geo.scan_of[table[c]] for c in geo.cell_of)
        assert sorted(axes[index].tolist()) == [0, 1, 2, 3]
        for axis, delta in enumerate(geo.table[32 : 32 + geo.table[12]].tolist()):
            image = int(geo.table[32 + axes[index, axis]])
            pairs = [
                (int(c), int(c) + delta) for c in geo.cell_of if geo.scan_of[int(c) + delta] >= 0
            ]
            assert all(abs(int(table[b]) - int(table[a])) == image for a, b in pairs)
    assert len(places) == len(grid_tables(config))


def test_perspectives_start_with_the_seat_to_act() -> None:
    window = window_of("square8_3p", 1)
    batch = NnueBatcher(window.config, policy=False).encode(*window.positions()[:3])
    acting = [name.startswith("to_move") for name in nf.GLOBAL_NAMES]
    shown = batch.globals_.view(-1, 3, nf.GLOBALS)[:, :, acting]
    # The seat to act is relative seat 0 to itself, 2 to the next seat, 1 to the one after
    for perspective, actor in enumerate((0, 2, 1)):
        assert shown[:, perspective].argmax(1).unique().tolist() == [actor]


@pytest.mark.parametrize(("name", "key"), NAMES[1:3])
def test_training_fits_a_few_samples(name: str, key: str) -> None:
    window = window_of(key, 2)
    some = np.linspace(0, len(window) - 1, 32).astype(np.int64)
    settings = TrainingSettings(
        architecture=name,
        batch=32,
        learning_rate=1e-2,
        validation_fraction=0.0,
        checkpoint_steps=1000,
    )
    trainer = NnueTrainer(window, settings, seed=3, steps=60)
    encoder = NnueBatcher(window.config, policy=name == "nnue_policy")
    trainer.samplers[0] = OneBatch(
        window, some, batch=32, seed=3, root_value_mix=0.5, encoder=encoder
    )
    reports: list[Progress] = []
    last = trainer.run(on_progress=reports.append)
    assert last is not None
    assert last.value_loss < min(0.1, reports[0].value_loss / 2)
    if name == "nnue_policy":
        assert last.policy_loss < reports[0].policy_loss - 0.3
    else:
        assert last.policy_loss == 0


def test_training_lowers_the_loss(window: Window) -> None:
    trainer = NnueTrainer(
        window, msgspec.structs.replace(POLICY, checkpoint_steps=100), seed=1, steps=40
    )
    reports: list[Progress] = []
    trainer.run(on_progress=reports.append)
    assert reports[-1].loss < reports[0].loss - 0.1
    assert reports[-1].validation_loss is not None


def test_a_resumed_training_ends_with_the_same_bits(window: Window) -> None:
    checkpoints: list[bytes] = []
    whole = NnueTrainer(window, POLICY, seed=1, steps=6, replicas=2)
    whole.run(on_checkpoint=checkpoints.append)
    resumed = NnueTrainer(window, POLICY, seed=1, steps=6, resume=checkpoints[0], replicas=2)
    assert resumed.step == 4
    resumed.run()
    assert resumed.model() == whole.model()


def test_weights_are_clipped_to_the_range_of_the_integers(window: Window) -> None:
    trainer = NnueTrainer(
        window, msgspec.structs.replace(SETTINGS, learning_rate=0.5), seed=1, steps=8
    )
    trainer.run()
    network = trainer.network
    assert isinstance(network, nets.Nnue)
    assert network.shared.weight.abs().max() <= nets.FIRST_MAX
    assert network.first.weight.abs().max() * nets.CELL_SHARE <= nets.FIRST_MAX * 1.0001
    assert network.second.weight.abs().max() <= nets.SECOND_MAX


def test_a_saved_nnue_is_loaded_unchanged(data: bytes) -> None:
    loaded = NnueCheckpoint.parse(data, digest=digest_of(data))
    assert loaded.header.parents == ("0f" * 32,)
    assert loaded.header.encoder == nf.ENCODER == "nnue-1:7ce26c2304247757"
    original = nets.build("nnue_policy", HEX8, seed=4).state_dict()
    network = loaded.network()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, original[name])
    header = loaded.header
    again = NnueCheckpoint.save(
        network,
        architecture=header.architecture,
        config=HEX8,
        parents=header.parents,
        notes=header.notes,
    )
    assert again == data


REJECTED = {
    "features": ({"encoder": "nnue-0:0"}, "encoder 'nnue-0:0'.*train it again"),
    "rules": ({"rules_version": 99}, "rules version 99"),
    "format": ({"format": 2}, "format 2"),
    "name": ({"architecture": "nnue_v9"}, "unknown NNUE"),
    "seats": (
        {"architecture": "nnue_mp"},
        "nnue_mp does not support hex8_2p; for 2 seats use nnue, nnue_policy",
    ),
    "shape": ({"shape": {"hidden": 9}}, "shape"),
    "config": ({"config_key": "hex9_2p"}, "hex9_2p"),
    "another board": ({"config_key": "square8_2p"}, "first.weight"),
    "parents": ({"parents": ["latest"]}, "parents"),
    "surplus": ({"trust": "me"}, "trust"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_an_nnue_header_that_does_not_fit_is_rejected_in_one_line(data: bytes, case: str) -> None:
    changes, message = REJECTED[case]
    weights, metadata = unpack(data)
    changed = pack(
        weights,
        {NnueCheckpoint.KEY: json.dumps(json.loads(metadata[NnueCheckpoint.KEY]) | changes)},
    )
    with pytest.raises(CheckpointError, match=message) as caught:
        NnueCheckpoint.parse(changed)
    assert "\n" not in str(caught.value)


def test_other_networks_and_truncated_bytes_are_rejected(data: bytes, window: Window) -> None:
    with pytest.raises(CheckpointError, match="its header is ringrift, expected ringrift-nnue"):
        NnueCheckpoint.parse(TowerTrainer(window, TrainingSettings(), seed=1, steps=1).model())
    with pytest.raises(CheckpointError, match="expected 00"):
        NnueCheckpoint.parse(data, digest="00" * 32)
    for cut in (0, 7, 100, -1):
        with pytest.raises(CheckpointError, match="not a checkpoint"):
            NnueCheckpoint.parse(data[:cut])


def test_a_child_starts_only_from_a_parent_of_its_architecture(window: Window, data: bytes) -> None:
    child = NnueTrainer(window, POLICY, seed=9, steps=1, start=data)
    parent = NnueCheckpoint.parse(data).network()
    assert all(
        torch.equal(tensor, parent.state_dict()[name])
        for name, tensor in child.network.state_dict().items()
    )
    assert checkpoint_of(child.model()).header.parents == (digest_of(data),)
    with pytest.raises(TrainingError, match="cannot start nnue for hex8_2p from a nnue_policy"):
        NnueTrainer(window, SETTINGS, seed=9, steps=1, start=data)
    tower = TowerTrainer(window, TrainingSettings(), seed=1, steps=1).model()
    with pytest.raises(TrainingError, match="its header is ringrift"):
        NnueTrainer(window, SETTINGS, seed=9, steps=1, start=tower)
    with pytest.raises(TrainingError, match="nnue_mp does not support hex8_2p"):
        NnueTrainer(
            window, msgspec.structs.replace(SETTINGS, architecture="nnue_mp"), seed=9, steps=1
        )


def test_an_nnue_learns_from_half_root_values_by_default() -> None:
    window = window_of("hex8_2p", 2)
    assert not np.allclose(window.outcome, window.root_value)

    def targets(kind: type[Trainer], settings: TrainingSettings, **chosen: float) -> torch.Tensor:
        return (
            kind(window, settings, seed=1, steps=1, **chosen)
            .samplers[0]
            .take(np.arange(len(window)))
            .values
        )

    by_default = targets(NnueTrainer, SETTINGS)
    assert torch.equal(by_default, targets(NnueTrainer, SETTINGS, root_value_mix=0.5))
    assert torch.equal(
        targets(NnueTrainer, SETTINGS, root_value_mix=0.0),
        targets(TowerTrainer, TrainingSettings()),
    )
    assert not torch.equal(by_default, targets(TowerTrainer, TrainingSettings()))


def loaded(data: bytes) -> NnueEvaluator:
    header, weights = load(data)
    return NnueEvaluator(header.config, weights)


def test_families_recognise_their_names_and_bytes(window: Window, data: bytes) -> None:
    tower = TowerTrainer(window, TrainingSettings(), seed=1, steps=1).model()
    assert trainer_of("nnue_policy") is NnueTrainer
    assert trainer_of("v2-micro") is TowerTrainer
    assert checkpoint_of(data).header.architecture == "nnue_policy"
    assert checkpoint_of(tower).header.architecture == "v2-micro"
    for blob in (data, tower):
        model = model_of(blob, digest=digest_of(blob), config="hex8_2p")
        logits, values = model.evaluate(*window.positions(np.arange(1))[:3])
        assert len(logits) == window.legal[0]
        assert values.shape == (1, 2)
        assert (model.nnue is None) == (blob == tower)
        assert model.policy
        with pytest.raises(CheckpointError, match="expected 00"):
            model_of(blob, digest="00" * 32, config="hex8_2p")


def test_the_policy_harness_plays_an_nnue_independent_of_the_batch(
    data: bytes, window: Window
) -> None:
    model = model_of(data, digest=digest_of(data), config="hex8_2p")
    player = make_player(HEX8, "policy", Setup(evaluator="nnue", model=model, threads=1))
    seeds = np.zeros(300, np.uint64)
    states = np.tile(window.positions(np.arange(100)).states, (3, 1))
    together = player.choose(states, seeds)
    for i in (0, 77, 299):
        (alone,) = player.choose(states[i : i + 1], seeds[:1])
        assert alone.move == together[i].move
        assert np.array_equal(alone.policy, together[i].policy)
    assert any(np.ptp(decision.policy) > 0.05 for decision in together)


@pytest.mark.slow
def test_a_small_network_predicts_winners_better_than_chance() -> None:
    """Trained on 240 games of a search with the heuristic, it predicts the winners of 60 others
    from the middle of the game on."""
    games = heuristic_games(300)
    window, others = (
        open_window([read_shard(build_shard(HEX8, part)[0])], 10**6)
        for part in (games[:240], games[240:])
    )
    settings = TrainingSettings(architecture="nnue", epochs=4.0, validation_fraction=0.0)
    trainer = NnueTrainer(window, settings, seed=1)
    trainer.run()
    evaluator = loaded(trainer.model())
    late = others.ply >= 30
    states = others.positions(np.flatnonzero(late)).states
    values = evaluator.evaluate(states, np.zeros(0, np.int64), np.zeros(late.sum() + 1, np.int64))[
        1
    ]
    assert late.sum() > 500
    assert np.mean((values[:, 0] > 0) == (others.outcome[late, 0] > 0)) > 0.65


def heuristic_games(count: int) -> list[GameCompleted]:
    """Return games of Gumbel search with the handcrafted evaluation."""
    plan = SelfplayPlanned(
        config="hex8_2p",
        generation=0,
        games=count,
        games_per_ticket=count,
        simulations=8,
        model=None,
        seed=5,
        settings_version=0,
    )
    ticket = SelfplayTicket(ticket="t", cause="EVENTS/1", plan=plan, first_game=0, games=count)
    return list(play_games(ticket, SelfplaySettings(), Host(node="n")))


def test_a_depth_first_seat_with_an_nnue_searches_with_its_integers(
    data: bytes, window: Window
) -> None:
    digest = digest_of(data)
    model = model_of(data, digest=digest, config="hex8_2p")
    external = seat("minimax", model=digest, simulations=200)
    internal = seat("minimax", model=digest, simulations=200, evaluator="nnue")
    assert internal.participant.startswith(f"{external.participant}-")
    states, seeds = window.positions(np.arange(5)).states, np.zeros(5, np.uint64)
    inside = player_of(HEX8, internal, model, 1).choose(states, seeds)
    outside = player_of(HEX8, external, Model(model.evaluate), 1).choose(states, seeds)
    assert [(one.move, one.nodes) for one in inside] == [(one.move, one.nodes) for one in outside]
    with pytest.raises(HarnessError, match="the model is a network, for evaluator 'network'"):
        player_of(HEX8, internal, Model(model.evaluate), 1)
    with pytest.raises(HarnessError, match="the model is a nnue_policy, for evaluator 'nnue'"):
        player_of(HEX8, external, model, 1)


def test_a_process_that_plays_with_an_nnue_does_not_import_torch(
    data: bytes, tmp_path: Path
) -> None:
    (tmp_path / "network").write_bytes(data)
    code = (
        "import sys; from pathlib import Path\n"
        "import ringrift.consumers.selfplay, ringrift.consumers.evaluator\n"
        "from ringrift.learning.models import model_of\n"
        f"data = Path({str(tmp_path / 'network')!r}).read_bytes()\n"
        f"assert model_of(data, digest={digest_of(data)!r}, config='hex8_2p').policy\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
