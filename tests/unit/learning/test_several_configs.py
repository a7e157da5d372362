"""One network learns from games of several configs in turn, and plays each of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from support.games import window_of
from support.positions import arrays_of, random_positions

from ringrift.events.settings import TrainingSettings
from ringrift.learning.families import NnueTrainer, TowerTrainer
from ringrift.learning.models import model_of
from ringrift.learning.schedule import turns
from ringrift.learning.training_state import TrainingError
from ringrift.learning.window import Window
from ringrift.nets.batch import Batcher, NnueBatcher
from ringrift.nets.boards import BOARD_WEIGHT, board_numbers
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.nets.nnue.network import NnueCheckpoint
from ringrift.rules import Config
from ringrift.rules.config import BOARDS

CONFIGS = ("hex8_2p", "square8_3p", "square8_2p")
SETTINGS = TrainingSettings(batch=32, checkpoint_steps=4, validation_fraction=0.3)


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    return [window_of(key, 6) for key in CONFIGS]


@pytest.fixture(scope="module")
def trained(windows: list[Window]) -> TowerTrainer:
    trainer = trainer_of(windows, steps=24)
    trainer.run()
    return trainer


def trainer_of(windows: list[Window], **changes: object) -> TowerTrainer:
    given = {"seed": 1, "steps": 10, "others": windows[1:], **changes}
    return TowerTrainer(windows[0], SETTINGS, **given)  # type: ignore[arg-type]


def test_a_resumed_training_ends_with_the_same_bits(windows: list[Window]) -> None:
    checkpoints: list[bytes] = []
    whole = trainer_of(windows)
    whole.run(on_checkpoint=checkpoints.append)
    resumed = trainer_of(windows, resume=checkpoints[0])
    resumed.run()
    assert resumed.model() == whole.model()
    with pytest.raises(TrainingError, match="window differs"):
        trainer_of(windows[:2], resume=checkpoints[0])


def test_the_header_names_the_configs_and_that_of_one_config_does_not(
    windows: list[Window], trained: TowerTrainer
) -> None:
    header = TowerCheckpoint.parse(trained.model()).header
    assert (header.configs, header.config_key, header.shape["boards"]) == (CONFIGS, CONFIGS[0], 1)
    # the bytes of other networks, and so their digests, are those of before
    assert b"configs" not in trainer_of(windows[:1]).model()


@pytest.mark.parametrize("key", [*CONFIGS, "hexagonal_4p", "square19_2p"])
def test_it_plays_each_config_as_it_learned_it(trained: TowerTrainer, key: str) -> None:
    config, positions = Config.parse(key), random_positions(key, count=3)
    arrays = arrays_of(positions)
    data = trained.model()
    played, _ = model_of(data, digest=digest_of(data), config=key).evaluate(*arrays)
    trained.network.eval().learn_on(config)
    with torch.inference_mode():
        logits, _ = trained.network(*Batcher(positions[0].geometry).encode(*arrays))
    assert np.allclose(played, logits.numpy(), atol=1e-4)


def test_the_corners_are_learned_on_squares_only(windows: list[Window]) -> None:
    hexes = trainer_of(windows[:1])
    hexes.run()
    assert not hexes.network.stem.weight[:, :, 0, 0].any()
    both = trainer_of(windows, start=hexes.model(), steps=1)
    both.run()  # one step, of hex8
    assert not both.network.stem.weight[:, :, 0, 0].any()
    both = trainer_of(windows, start=hexes.model(), steps=2)
    both.run()
    assert both.network.stem.weight[:, :, 0, 0].any()


def test_networks_of_one_and_of_several_configs_start_from_each_other(
    windows: list[Window], trained: TowerTrainer
) -> None:
    one = trainer_of(windows[1:2], start=trained.model(), steps=1)
    assert "boards" not in TowerCheckpoint.parse(one.model()).header.shape
    plays = TowerCheckpoint.parse(trained.model()).weights_on(windows[1].config)
    assert np.array_equal(one.network.stem.bias.detach().numpy(), plays["stem.bias"])
    again = trainer_of(windows, start=one.model(), steps=1)
    assert not again.network.state_dict()[BOARD_WEIGHT].any()
    again = trainer_of(windows, start=trained.model(), steps=1)
    assert again.network.state_dict()[BOARD_WEIGHT].any()


def test_replicas_take_the_same_config(windows: list[Window]) -> None:
    alone, together = trainer_of(windows, steps=6), trainer_of(windows, steps=6, replicas=2)
    for trainer in (alone, together):
        trainer.run()
    for name, tensor in alone.network.state_dict().items():
        assert torch.allclose(tensor, together.network.state_dict()[name], atol=1e-3), name


def test_board_numbers_differ_and_are_small() -> None:
    found = {
        tuple(board_numbers(Config.parse(f"{board}_{seats}p")).tolist())
        for board in BOARDS
        for seats in (2, 3, 4)
    }
    assert len(found) >= 8  # the number of seats is among the inputs anyway
    assert all(0.0 <= number <= 1.5 for numbers in found for number in numbers)


def test_a_tower_on_several_configs_takes_no_teacher(
    windows: list[Window], trained: TowerTrainer
) -> None:
    with pytest.raises(TrainingError, match="takes no teacher"):
        trainer_of(windows, teacher=trained.model())


NNUE = replace(SETTINGS, architecture="nnue_policy")


@pytest.fixture(scope="module")
def nnue(windows: list[Window]) -> NnueTrainer:
    trainer = NnueTrainer(windows[0], NNUE, seed=1, steps=6, others=windows[1:])
    trainer.run()
    return trainer


@pytest.mark.parametrize("key", CONFIGS)
def test_an_nnue_plays_each_config_as_it_learned_it(nnue: NnueTrainer, key: str) -> None:
    config, positions = Config.parse(key), random_positions(key, count=3)
    arrays = arrays_of(positions)
    played = NnueCheckpoint.parse(nnue.model()).network(config)
    with torch.inference_mode():
        found = played(*NnueBatcher(config, policy=True).encode(*arrays))
        learned = nnue.network(*_as_learned(nnue, config).encode(*arrays))
    for one, other in zip(found, learned, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def _as_learned(nnue: NnueTrainer, config: Config) -> NnueBatcher:
    nnue.network.seats = config.seats
    encoder = nnue._new_encoder(config)
    assert isinstance(encoder, NnueBatcher)
    return encoder


def test_an_nnue_learns_in_the_rows_of_its_first_board(
    nnue: NnueTrainer, windows: list[Window]
) -> None:
    header = NnueCheckpoint.parse(nnue.model()).header
    assert (header.config_key, header.configs) == (CONFIGS[0], CONFIGS)
    fresh = NnueTrainer(windows[0], NNUE, seed=1, steps=1).network
    assert nnue.network.first.weight.shape == fresh.first.weight.shape


def test_each_window_has_the_steps_that_it_was_given(windows: list[Window]) -> None:
    trainer = trainer_of(windows, steps=(6, 3, 1))
    order = [window for window, _ in trainer._turns]
    assert (trainer.steps, [order.count(n) for n in range(3)]) == (10, [6, 3, 1])
    assert 1 in order[:4]  # spread evenly
    assert [at for window, at in trainer._turns if window == 0] == [*range(6)]
    assert turns((2, 2)) == [(0, 0), (1, 0), (0, 1), (1, 1)]
    trainer.run()
