"""Training learns, is a function of its arguments, and can be resumed exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
import torch
from support.games import play_game, window_of
from support.samplers import OneBatch

from ringrift.events.settings import TrainingSettings
from ringrift.learning import families, training
from ringrift.learning.batches import Sampler
from ringrift.learning.families import TowerTrainer
from ringrift.learning.loss import auxiliary_loss, policy_loss, soften, tower_losses
from ringrift.learning.schedule import learning_rate, steps_for
from ringrift.learning.shards import build_shard, read_shard
from ringrift.learning.training_state import Progress, TrainingError
from ringrift.learning.window import Window, open_window
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.encoding import Plane
from ringrift.nets.header import digest_of
from ringrift.nets.shapes import ARCHITECTURES, AUXILIARY, DEPRECATED
from ringrift.nets.symmetry import grid_tables
from ringrift.nets.tensors import pack, unpack
from ringrift.nets.transfer import transfer
from ringrift.rules import Config, Position
from ringrift.rules.accessors import collapsed_at
from ringrift.rules.geometry import geometry
from ringrift.rules.moves import CHAIN, LEAP, move_n, move_type

SETTINGS = TrainingSettings(batch=32, checkpoint_steps=4, validation_fraction=0.3)


@pytest.fixture(scope="module")
def window() -> Window:
    return window_of("hex8_2p", 8)


def test_a_resumed_training_ends_with_the_same_bits(window: Window) -> None:
    checkpoints: list[bytes] = []
    whole = TowerTrainer(window, SETTINGS, seed=1, steps=10)
    last = whole.run(on_checkpoint=checkpoints.append)
    assert [read_step(data) for data in checkpoints] == [4, 8, 10]
    for data in checkpoints:
        resumed = TowerTrainer(window, SETTINGS, seed=1, steps=10, resume=data)
        resumed.run()
        assert resumed.model() == whole.model()
    finished = TowerTrainer(window, SETTINGS, seed=1, steps=10, resume=checkpoints[-1])
    assert finished.run() == last


def read_step(data: bytes) -> int:
    length = int.from_bytes(data[:8], "little")
    header = msgspec.json.decode(data[8 : 8 + length])["__metadata__"]["ringrift-training"]
    return int(msgspec.json.decode(header)["step"])


def test_a_training_stopped_between_steps_can_be_resumed(window: Window) -> None:
    whole = TowerTrainer(window, SETTINGS, seed=2, steps=6)
    whole.run()
    stopped = TowerTrainer(window, SETTINGS, seed=2, steps=6)
    stopped.run(stop=lambda: stopped.step == 3)
    assert stopped.step == 3
    resumed = TowerTrainer(window, SETTINGS, seed=2, steps=6, resume=stopped.checkpoint())
    resumed.run()
    assert resumed.model() == whole.model()


def test_another_seed_gives_another_network(window: Window) -> None:
    models = []
    for seed in (1, 2):
        trainer = TowerTrainer(window, SETTINGS, seed=seed, steps=1)
        trainer.run()
        models.append(trainer.model())
    assert models[0] != models[1]


def test_a_checkpoint_of_another_training_is_rejected(window: Window) -> None:
    trainer = TowerTrainer(window, SETTINGS, seed=1, steps=2)
    trainer.run()
    data = trainer.checkpoint()
    other_settings = msgspec.structs.replace(SETTINGS, learning_rate=1e-4)
    with pytest.raises(TrainingError, match="seed"):
        TowerTrainer(window, SETTINGS, seed=2, steps=2, resume=data)
    with pytest.raises(TrainingError, match="steps"):
        TowerTrainer(window, SETTINGS, seed=1, steps=3, resume=data)
    with pytest.raises(TrainingError, match="settings"):
        TowerTrainer(window, other_settings, seed=1, steps=2, resume=data)
    with pytest.raises(TrainingError, match="window"):
        TowerTrainer(window_of("hex8_2p", 5), SETTINGS, seed=1, steps=2, resume=data)
    with pytest.raises(TrainingError, match="parent"):
        TowerTrainer(window, SETTINGS, seed=1, steps=2, start=trainer.model(), resume=data)
    for damaged in (b"", data[:100], trainer.model()):
        with pytest.raises(TrainingError, match="not a training checkpoint"):
            TowerTrainer(window, SETTINGS, seed=1, steps=2, resume=damaged)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights/stem.bias", np.nan),
        ("optimizer/exp_avg/stem.bias", np.inf),
        ("optimizer/exp_avg_sq/stem.bias", -1.0),
        ("optimizer/step/stem.bias", -1.0),
        ("optimizer/step/stem.bias", np.zeros(9, np.float32)),
        ("optimizer/exp_avg/stem.bias", np.zeros(9, np.float32)),
        ("optimizer/exp_avg/stem.bias", None),
        ("optimizer/more/stem.bias", 0.0),
    ],
)
def test_a_checkpoint_with_forged_numbers_is_rejected(
    window: Window, name: str, value: float | np.ndarray | None
) -> None:
    trainer = TowerTrainer(window, SETTINGS, seed=1, steps=2)
    trainer.run()
    arrays, metadata = unpack(trainer.checkpoint())
    forged = arrays.get(name, np.zeros(1, np.float32)).copy()
    arrays[name] = value if isinstance(value, np.ndarray) else forged
    if value is None:
        del arrays[name]
    elif not isinstance(value, np.ndarray):
        forged.flat[0] = value
    with pytest.raises(TrainingError, match="not a training checkpoint"):
        TowerTrainer(window, SETTINGS, seed=1, steps=2, resume=pack(arrays, metadata))


def test_a_training_starts_from_its_parent_and_names_it(window: Window) -> None:
    parent = TowerTrainer(window, SETTINGS, seed=1, steps=2)
    parent.run()
    child = TowerTrainer(window, SETTINGS, seed=9, steps=1, start=parent.model())
    for name, tensor in child.network.state_dict().items():
        assert torch.equal(tensor, parent.network.state_dict()[name])
    assert TowerCheckpoint.parse(child.model()).header.parents == (
        TowerCheckpoint.parse(parent.model()).digest,
    )


@pytest.mark.parametrize("key", ["hex8_2p", "square8_3p"])
def test_training_fits_a_few_samples(key: str) -> None:
    """The policy loss approaches the entropy of the targets, the value loss 0."""
    window = window_of(key, 2)
    some = np.linspace(0, len(window) - 1, 32).astype(np.int64)
    settings = TrainingSettings(
        batch=32, learning_rate=5e-3, validation_fraction=0.0, checkpoint_steps=1000
    )
    trainer = TowerTrainer(window, settings, seed=3, steps=120)
    trainer.samplers[0] = OneBatch(window, some, batch=32, seed=3)
    reports: list[Progress] = []
    last = trainer.run(on_progress=reports.append)
    entropy = mean_entropy(window, some)
    assert reports[0].policy_loss > entropy + 1.0
    assert last is not None
    assert last.policy_loss < entropy + 0.35 * (reports[0].policy_loss - entropy)
    assert last.value_loss < 0.1
    assert last.validation_loss is None


def mean_entropy(window: Window, samples: np.ndarray) -> float:
    total, found = 0.0, window.positions(samples)
    for first, last in pairwise(found.offsets):
        p = found.policy[first:last]
        total -= float((p[p > 0] * np.log(p[p > 0])).sum())
    return total / len(samples)


def test_validation_games_are_excluded_from_training(window: Window) -> None:
    trainer = TowerTrainer(window, SETTINGS, seed=1, steps=1)
    validating = set(np.flatnonzero(window.validating(SETTINGS.validation_fraction)).tolist())
    assert validating
    assert validating.isdisjoint(trainer.samplers[0].chosen.tolist())
    progress = trainer.run()
    assert progress is not None
    assert progress.validation_loss == pytest.approx(trainer.validate())


def test_a_window_of_only_validation_games_is_rejected(window: Window) -> None:
    with pytest.raises(TrainingError, match="validation"):
        TowerTrainer(window, msgspec.structs.replace(SETTINGS, validation_fraction=1.0), seed=1)


def test_a_loss_that_is_not_finite_ends_the_training(window: Window) -> None:
    trainer = TowerTrainer(window, SETTINGS, seed=1, steps=1)
    with torch.no_grad():
        trainer.network.stem.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="learning_rate"):
        trainer.run()


def test_an_epoch_draws_every_sample_at_most_once_in_an_order_of_its_own(window: Window) -> None:
    chosen = np.arange(len(window))
    sampler = Sampler(window, chosen, batch=32, seed=5)
    seen: list[list[int]] = []
    for epoch in range(2):
        order: list[int] = []
        for index in range(sampler.batches_per_epoch):
            order += sampler.samples_at(epoch * sampler.batches_per_epoch + index).tolist()
        assert len(set(order)) == len(order) == 32 * sampler.batches_per_epoch
        seen.append(order)
    assert seen[0] != seen[1]


def test_a_batch_is_a_function_of_seed_and_step(window: Window) -> None:
    def batch(step: int, *, before: int | None = None) -> list[bytes]:
        sampler = Sampler(window, np.arange(len(window)), batch=16, seed=5, root_value_mix=0.25)
        if before is not None:
            sampler.at(before)
        drawn = sampler.at(step)
        return [
            t.numpy().tobytes()
            for t in (
                drawn.batch.planes,
                drawn.batch.globals_,
                *drawn.batch.bags,
                drawn.policy,
                drawn.values,
                drawn.slot,
            )
        ]

    assert batch(11) == batch(11, before=3)
    assert batch(11) != batch(12)


def test_value_targets_are_mixed_and_relative_to_the_mover() -> None:
    window = window_of("square8_3p", 2)
    samples = np.arange(0, len(window), 7)
    plain = Sampler(window, samples, batch=4, seed=0).take(samples)
    mixed = Sampler(window, samples, batch=4, seed=0, root_value_mix=0.5).take(samples)
    assert len(set(window.mover[samples].tolist())) == 3
    assert plain.present.tolist() == [1, 1, 1, 0]
    for row, i in enumerate(samples):
        for relative in range(3):
            seat = (window.mover[i] - 1 + relative) % 3
            assert plain.values[row, relative] == window.outcome[i, seat]
            half = (window.outcome[i, seat] + window.root_value[i, seat]) / 2
            assert mixed.values[row, relative] == pytest.approx(float(half), abs=1e-6)
        assert plain.values[row, 3] == 0


def test_samples_are_drawn_under_random_symmetries(window: Window) -> None:
    sampler = Sampler(window, np.arange(len(window)), batch=64, seed=1)
    shown = sampler.at(0)
    plain = Sampler(window, np.arange(len(window)), batch=64, seed=1).take(sampler.samples_at(0))
    assert not torch.equal(shown.batch.planes, plain.batch.planes)
    assert torch.equal(shown.batch.globals_, plain.batch.globals_)
    for channel in (Plane.HEIGHT, Plane.MARKER, Plane.COLLAPSED):
        assert torch.allclose(
            shown.batch.planes[:, channel].sum((1, 2)), plain.batch.planes[:, channel].sum((1, 2))
        )


def test_the_policy_loss_is_the_cross_entropy_over_the_legal_moves(window: Window) -> None:
    samples = np.array([3, 40, 77])
    drawn = Sampler(window, samples, batch=3, seed=0).take(samples)
    logits = torch.linspace(-2, 3, len(drawn.policy), requires_grad=True)
    found = policy_loss(logits, drawn)
    for row in range(3):
        here = drawn.batch.bags.positions == row
        expected = -(drawn.policy[here] * torch.log_softmax(logits[here], 0)).sum()
        assert found[row].item() == pytest.approx(expected.item(), rel=1e-5)
    found.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_the_learning_rate_warms_up_and_decays() -> None:
    settings = TrainingSettings(learning_rate=1.0)
    rates = [learning_rate(settings, step, 1000) for step in range(1000)]
    assert rates[0] < 0.05
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 50
    assert rates[-1] == pytest.approx(0.02, abs=1e-3)
    assert all(0 < rate <= 1 and math.isfinite(rate) for rate in rates)
    assert learning_rate(settings, 0, 1) > 0


def test_steps_follow_epochs_and_samples() -> None:
    assert steps_for(TrainingSettings(epochs=3.0, batch=256), 120_000) == 1406
    assert steps_for(TrainingSettings(epochs=0.5, batch=256), 10) == 1


def test_replicas_give_nearly_the_result_of_one() -> None:
    """The results differ only by rounding, and are reproducible."""
    window = window_of("hex8_2p", 2)
    settings = TrainingSettings(batch=33, validation_fraction=0.0, checkpoint_steps=1000)

    def trained(replicas: int) -> TowerTrainer:
        trainer = TowerTrainer(window, settings, seed=3, steps=6, replicas=replicas)
        trainer.run()
        return trainer

    one, two, again = trained(1), trained(2), trained(2)
    assert two.progress.loss == pytest.approx(one.progress.loss, rel=1e-4)
    assert two.model() == again.model()


@pytest.mark.parametrize("replicas", [1, 2])
def test_gradients_have_the_memory_order_of_the_weights(replicas: int) -> None:
    """The fused optimizer reads both in memory order; in another order it would apply the gradients
    of other weights."""
    settings = TrainingSettings(batch=32, validation_fraction=0.0, checkpoint_steps=1000)
    trainer = TowerTrainer(window_of("hex8_2p", 1), settings, seed=3, steps=1, replicas=replicas)
    trainer.run()
    parameters = [
        parameter for parameter in trainer.network.parameters() if parameter.grad is not None
    ]
    assert any(not parameter.is_contiguous() for parameter in parameters)
    assert all(parameter.grad.stride() == parameter.stride() for parameter in parameters)


def test_batches_are_split_when_gpu_memory_is_exhausted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With samples of several weights and a batch of odd size, the gradients add up to the same
    step."""
    window = window_of("hex8_2p", 8)
    window.weight[::3] = 0.25
    settings = TrainingSettings(
        batch=33, validation_fraction=0.3, checkpoint_steps=1, territory_weight=0.5
    )
    whole, pieces = (TowerTrainer(window, settings, seed=3, steps=2) for _ in range(2))
    expected = whole.run()
    sizes: list[int] = []
    validating = int(window.validating(settings.validation_fraction).sum())

    def small_gpu(network, sampled, settings):
        sizes.append(len(sampled.weight))
        if len(sampled.weight) > 9:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return tower_losses(network, sampled, settings)

    monkeypatch.setattr(families, "tower_losses", small_gpu)
    found = pieces.run()
    assert sizes[:7] == [33, 17, 9, 8, 8, 8, min(validating, training.VALIDATION_BATCH)]
    assert msgspec.structs.asdict(found) == pytest.approx(
        msgspec.structs.asdict(expected) | {"samples_per_second": found.samples_per_second},
        rel=1e-4,
    )
    for one, other in zip(whole.network.parameters(), pieces.network.parameters(), strict=True):
        # A gradient of 0 is a step of Adam by rounding errors
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_gpu_too_small_for_one_sample_ends_the_training(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_gpu(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(families, "tower_losses", no_gpu)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        TowerTrainer(window, SETTINGS, seed=1, steps=1).run()


def test_the_ends_of_games_follow_the_mover_and_the_symmetry() -> None:
    window = window_of("hex8_3p", 2)
    samples = np.arange(0, len(window), 5)
    sampler = Sampler(window, samples, batch=4, seed=0, ends=True)
    grids = grid_tables(window.config)
    games = [play_game("hex8_3p", seed) for seed in range(2)]
    geo = geometry(window.config)
    for symmetry in (0, 3):
        drawn = sampler.take(samples, np.full(len(samples), symmetry, np.int16))
        for row, i in enumerate(samples):
            game, mover = games[window.game[i]], int(window.mover[i])
            end = Position.start(window.config)
            for token in game.moves.split():
                end.play(token)
            assert drawn.ends.ranks[row].tolist() == [
                game.ranks[(mover - 1 + r) % 3] - 1 for r in range(3)
            ] + [0]
            owners = drawn.ends.owners[row].flatten()
            for cell in geo.cell_of:
                owner = collapsed_at(end.state, int(cell))
                assert owners[grids[symmetry][cell]] == (1 + (owner - mover) % 3 if owner else 0)
            left = game.plies - window.ply[i]
            assert drawn.ends.moves_left[row] == pytest.approx(math.log1p(left))
    assert (window.owners > 0).any()


def test_samples_of_several_shards_keep_the_ends_of_their_games() -> None:
    config = Config.parse("hex8_2p")
    shards = [read_shard(build_shard(config, [play_game("hex8_2p", seed)])[0]) for seed in range(3)]
    window = open_window(shards, 10**6)
    part = open_window(shards, shards[2].samples + 5)
    for name in ("ranks", "owners"):
        ends, of_part = getattr(window, name)[window.game], getattr(part, name)[part.game]
        assert np.array_equal(ends[-len(part) :], of_part)
    left = part.plies_left(np.arange(len(part)))
    assert np.array_equal(window.plies_left(np.arange(len(window)))[-len(part) :], left)
    assert left[-1] >= 1


def test_auxiliary_heads_learn_the_ends_of_games() -> None:
    window = window_of("square8_3p", 2)
    some = np.linspace(0, len(window) - 1, 32).astype(np.int64)
    settings = TrainingSettings(
        batch=32,
        learning_rate=5e-3,
        validation_fraction=0.0,
        checkpoint_steps=1000,
        rank_weight=1.0,
        territory_weight=1.0,
        moves_left_weight=1.0,
    )
    trainer = TowerTrainer(window, settings, seed=3, steps=30)
    trainer.samplers[0] = OneBatch(window, some, batch=32, seed=3, ends=True)
    drawn = trainer.samplers[0].at(0)

    def each() -> list[float]:
        with torch.no_grad():
            heads = trainer.network.learn(*drawn.batch)[2]
            planes = drawn.batch.planes[:, Plane.ON_BOARD]
            only = (
                {f"{name}_weight": float(name == chosen) for name in AUXILIARY}
                for chosen in AUXILIARY
            )
            return [
                float(
                    auxiliary_loss(
                        heads,
                        drawn.ends,
                        drawn.present,
                        planes,
                        msgspec.structs.replace(settings, **weights),
                    ).mean()
                )
                for weights in only
            ]

    before = each()
    trainer.run()
    assert all(after < 0.75 * first for after, first in zip(each(), before, strict=True)), (
        before,
        each(),
    )
    assert TowerCheckpoint.parse(trainer.model()).header.shape["territory"] == 1


def test_the_settings_add_and_remove_auxiliary_heads(window: Window) -> None:
    with_rank = msgspec.structs.replace(SETTINGS, rank_weight=0.5)
    plain = TowerTrainer(window, SETTINGS, seed=1, steps=1)
    plain.run()
    grown = TowerTrainer(window, with_rank, seed=2, steps=1, start=plain.model())
    kept = dict(plain.network.named_parameters())
    assert all(
        torch.equal(p, kept[name])
        for name, p in grown.network.named_parameters()
        if not name.startswith("rank")
    )
    grown.run()
    again = TowerTrainer(window, with_rank, seed=3, steps=1, start=grown.model())
    assert all(
        torch.equal(*pair)
        for pair in zip(again.network.parameters(), grown.network.parameters(), strict=True)
    )
    shrunk = TowerTrainer(window, SETTINGS, seed=3, steps=1, start=grown.model())
    assert shrunk.network.state_dict().keys() == plain.network.state_dict().keys()
    assert torch.equal(shrunk.network.stem.weight, grown.network.stem.weight)


def test_soft_targets_are_mixed_with_those_of_the_teacher(window: Window) -> None:
    teacher = build("v2-micro", hex_board=True, seed=8).eval()
    samples = np.array([3, 40, 77])
    drawn = Sampler(window, samples, batch=3, seed=0).take(samples)
    none, half, all_ = (soften(drawn, teacher, weight) for weight in (0.0, 0.5, 1.0))
    assert torch.equal(none.policy, drawn.policy)
    assert torch.equal(none.values, drawn.values)
    torch.testing.assert_close(half.policy, (drawn.policy + all_.policy) / 2)
    with torch.no_grad():
        logits, values = teacher(*drawn.batch)
    for row in range(3):
        here = drawn.batch.bags.positions == row
        torch.testing.assert_close(all_.policy[here], torch.softmax(logits[here], 0))
    torch.testing.assert_close(all_.values, values * drawn.present)


def test_a_student_of_another_architecture_learns_from_its_teacher(
    window: Window, monkeypatch
) -> None:
    monkeypatch.setitem(
        ARCHITECTURES,
        "student",
        replace(ARCHITECTURES["v2-micro"], blocks=2, channels=16, features=1, squeeze=4),
    )
    teacher = build("v2-micro", hex_board=True, seed=8)
    data = TowerCheckpoint.save(teacher, architecture="v2-micro", config=window.config)
    settings = TrainingSettings(
        architecture="student",
        batch=32,
        distill_weight=1.0,
        learning_rate=1e-2,
        checkpoint_steps=99,
        validation_fraction=0.3,
    )
    trainer = TowerTrainer(window, settings, seed=1, steps=20, teacher=data)

    def distance() -> float:
        drawn = soften(trainer.samplers[0].take(np.arange(64)), teacher.eval(), 1.0)
        with torch.no_grad():
            logits, values = trainer.network(*drawn.batch)
        seen = drawn.present > 0
        return float(
            (policy_loss(logits, drawn).mean()) + ((values - drawn.values)[:, seen] ** 2).mean()
        )

    before = distance()
    trainer.run()
    assert distance() < before - 0.01
    header = TowerCheckpoint.parse(trainer.model()).header
    assert header.parents == (digest_of(data),)
    assert header.notes == {"distilled_from": digest_of(data)}
    with pytest.raises(TrainingError, match="teacher"):
        TowerTrainer(window, settings, seed=1, steps=20, resume=trainer.checkpoint())


def test_networks_of_other_boards_start_and_teach_a_training(window: Window) -> None:
    square = build("v2-micro", hex_board=False, seed=4)
    config = Config.parse("square8_3p")
    data = TowerCheckpoint.save(square, architecture="v2-micro", config=config)
    trainer = TowerTrainer(window, SETTINGS, seed=1, steps=1, start=data, teacher=data)
    hexes = TowerCheckpoint.parse(data).weights_on(window.config)
    for name, tensor in trainer.network.state_dict().items():
        assert np.array_equal(tensor.numpy(), hexes[name]), name
    assert not trainer.network.stem.weight[:, :, 0, 0].any()
    trainer.run()
    assert TowerCheckpoint.parse(trainer.model()).header.parents == (digest_of(data),)


def test_a_deprecated_name_trains_the_current_architecture(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DEPRECATED, "v1", "v2-micro")
    with pytest.warns(DeprecationWarning, match="v2-micro"):
        trainer = TowerTrainer(
            window, msgspec.structs.replace(SETTINGS, architecture="v1"), seed=1, steps=1
        )
    assert TowerCheckpoint.parse(trainer.model()).header.architecture == "v2-micro"


def prefer_kinds(window: Window) -> Window:
    """Return the window with a policy that prefers some kinds of moves, whatever the number of
    seats."""
    _, codes, offsets, _ = window.positions()
    types = [(move_type(int(code)), move_n(int(code))) for code in codes]
    liked = [kind in (LEAP, CHAIN) or number == 2 for kind, number in types]
    move = np.concatenate([np.arange(count, dtype=np.uint16) for count in np.diff(offsets)])
    share = np.where(liked, 20, 1).astype(np.uint16)
    games = window.games._replace(move=move, share=share, entry_start=offsets)
    return replace(window, games=games)


def test_a_transferred_network_starts_with_a_lower_loss_than_a_fresh_one() -> None:
    two, four = (prefer_kinds(window_of(key, 2)) for key in ("square8_2p", "square8_4p"))
    settings = TrainingSettings(
        batch=64, learning_rate=5e-3, validation_fraction=0.0, checkpoint_steps=999
    )
    source = TowerTrainer(two, settings, seed=1, steps=30)
    source.run()
    start = transfer(TowerCheckpoint.parse(source.model()), four.config)
    losses_at = {}
    for name, given in (("fresh", None), ("transferred", start)):
        trainer = TowerTrainer(four, settings, seed=2, steps=1, start=given)
        progress = trainer.run()
        losses_at[name] = progress.policy_loss
    assert losses_at["transferred"] < losses_at["fresh"] - 0.15
