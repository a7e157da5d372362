"""Checkpoints describe themselves, load only where they fit, and are never unpickled."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.numpy import load as safetensors_load

from ringrift.nets import checkpoint as cp
from ringrift.nets.architectures import Tower, build
from ringrift.nets.encoding import ENCODER
from ringrift.nets.evaluator import Evaluator
from ringrift.nets.header import WEIGHT_MAX, CheckpointError, digest_of
from ringrift.nets.shapes import ARCHITECTURES, DEPRECATED, canonical, describe, shape_of
from ringrift.nets.tensors import METADATA, TensorError, pack, unpack
from ringrift.rules import Config, Position

CONFIG = Config.parse("hex8_2p")
PARENT = "0123456789abcdef" * 4
# The times of examples depend on the load of the machine
anytime = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def data() -> bytes:
    network = build("v2-micro", hex_board=True, seed=4)
    return cp.TowerCheckpoint.save(
        network, architecture="v2-micro", config=CONFIG, parents=(PARENT,), notes={"step": "12"}
    )


def with_header(data: bytes, **changes: object) -> bytes:
    """Return the same weights with a changed header."""
    weights, metadata = unpack(data)
    header = json.loads(metadata[cp.TowerCheckpoint.KEY]) | changes
    return pack(weights, {cp.TowerCheckpoint.KEY: json.dumps(header)})


def test_a_saved_network_is_loaded_unchanged(data: bytes) -> None:
    loaded = cp.TowerCheckpoint.parse(data, digest=digest_of(data))
    assert loaded.header.parents == (PARENT,)
    assert loaded.header.encoder == ENCODER
    assert loaded.header.config == CONFIG
    assert loaded.digest == digest_of(data)
    original = build("v2-micro", hex_board=True, seed=4).state_dict()
    for name, tensor in loaded.network().state_dict().items():
        assert torch.equal(tensor, original[name])


def test_saving_a_loaded_network_gives_the_same_bytes(data: bytes) -> None:
    network = cp.TowerCheckpoint.parse(data).network()
    again = cp.TowerCheckpoint.save(
        network, architecture="v2-micro", config=CONFIG, parents=(PARENT,), notes={"step": "12"}
    )
    assert again == data


def test_an_evaluator_uses_the_network_of_a_checkpoint(data: bytes) -> None:
    position = Position.start(CONFIG)
    codes = position.legal_codes()
    checkpoint = cp.TowerCheckpoint.parse(data)
    logits, values = Evaluator(checkpoint.header.config, checkpoint.network()).evaluate(
        position.state[None], codes, np.array([0, len(codes)])
    )
    assert logits.shape == codes.shape
    assert values.shape == (1, 2)


def test_the_safetensors_library_reads_our_bytes(data: bytes) -> None:
    ours, _ = unpack(data)
    theirs = safetensors_load(data)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_auxiliary_heads_are_saved_and_loaded() -> None:
    network = build("v2-micro", hex_board=True, seed=4, auxiliary=("rank", "moves_left"))
    loaded = cp.TowerCheckpoint.parse(
        cp.TowerCheckpoint.save(network, architecture="v2-micro", config=CONFIG)
    )
    assert loaded.header.shape["rank"] == loaded.header.shape["moves_left"] == 1
    assert "territory" not in loaded.header.shape
    assert loaded.network().state_dict().keys() == network.state_dict().keys()


def test_deprecated_names_are_read_and_never_written() -> None:
    with pytest.warns(DeprecationWarning, match="v5-heavy-large"):
        assert canonical("v6") == "v5-heavy-large"
    with pytest.warns(DeprecationWarning, match="v5-heavy-xl"):
        data = cp.TowerCheckpoint.save(small("v6-xl"), architecture="v6-xl", config=CONFIG)
    assert json.loads(unpack(data)[1][cp.TowerCheckpoint.KEY])["architecture"] == "v5-heavy-xl"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [canonical(name) for name in ARCHITECTURES] == list(ARCHITECTURES)
    assert not DEPRECATED.keys() & ARCHITECTURES.keys()


def small(name: str) -> Tower:
    """Return a small tower with the blocks of the deprecated architecture `name`."""
    with pytest.warns(DeprecationWarning, match=name):
        shape = shape_of(name)
    return Tower(replace(shape, blocks=1, global_every=1, channels=8), hex_board=True)


REJECTED = {
    "head": ({"shape": describe(shape_of("v2-micro")) | {"rank": 2}}, "shape"),
    "encoder": ({"encoder": "planes-0"}, "encoder"),
    "rules": ({"rules_version": 99}, "rules version 99"),
    "format": ({"format": 2}, "format 2"),
    "architecture": ({"architecture": "v7"}, "unknown architecture"),
    "shape": ({"shape": {"blocks": 9}}, "shape"),
    "config": ({"config_key": "hex9_2p"}, "hex9_2p"),
    "parents": ({"parents": ["latest"]}, "parents"),
    "surplus field": ({"trust": "me"}, "trust"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_header_that_does_not_fit_is_rejected(data: bytes, case: str) -> None:
    changes, message = REJECTED[case]
    with pytest.raises(CheckpointError, match=message):
        cp.TowerCheckpoint.parse(with_header(data, **changes))


def test_tensors_that_do_not_fit_are_rejected_by_name(data: bytes) -> None:
    weights, metadata = unpack(data)
    stem = weights["stem.weight"]
    for changed, message in (
        ({name: w for name, w in weights.items() if name != "stem.weight"}, "missing.*stem.weight"),
        (weights | {"extra": stem}, "surplus.*extra"),
        (weights | {"stem.weight": stem[:, :7]}, "stem.weight"),
        (weights | {"stem.weight": stem.astype(np.float64)}, "stem.weight.*float64"),
        (weights | {"stem.weight": stem * np.float32(np.nan)}, "stem.weight.*finite"),
    ):
        with pytest.raises(CheckpointError, match=message):
            cp.TowerCheckpoint.parse(pack(changed, metadata))


def test_a_wrong_digest_is_rejected(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="expected " + PARENT):
        cp.TowerCheckpoint.parse(data, digest=PARENT)


@pytest.mark.parametrize("cut", [0, 4, 7, 8, 100, 5000, -1])
def test_truncated_bytes_are_rejected(data: bytes, cut: int) -> None:
    with pytest.raises(CheckpointError):
        cp.TowerCheckpoint.parse(data[:cut])


def test_a_tensor_file_without_our_header_is_rejected() -> None:
    with pytest.raises(CheckpointError, match="no header of RingRift"):
        cp.TowerCheckpoint.parse(pack({"w": np.zeros(3, np.float32)}, {}))


class Bomb:
    """Unpickling an instance fails the test."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize("kind", ["torch.save", *range(pickle.HIGHEST_PROTOCOL + 1)])
def test_a_pickle_is_rejected_and_never_read(kind: str | int) -> None:
    out = io.BytesIO()
    if isinstance(kind, int):
        pickle.dump(Bomb(), out, kind)
    else:
        torch.save({"stem.weight": torch.zeros(4), "bomb": Bomb()}, out)
    with pytest.raises(
        CheckpointError, match="pickle" if kind not in (0, 1) else "not a checkpoint"
    ):
        cp.TowerCheckpoint.parse(out.getvalue())


@anytime
@given(st.integers(0, 4000), st.binary(min_size=1, max_size=3))
def test_a_damaged_header_raises_only_checkpoint_errors(data: bytes, at: int, noise: bytes) -> None:
    """Damage to a note is noticed only by the digest."""
    damaged = data[:at] + noise + data[at + len(noise) :]
    with contextlib.suppress(CheckpointError):
        cp.TowerCheckpoint.parse(damaged)
    if damaged != data:
        with pytest.raises(CheckpointError, match="digest"):
            cp.TowerCheckpoint.parse(damaged, digest=digest_of(data))


@anytime
@given(
    st.binary(max_size=300).map(lambda text: len(text).to_bytes(8, "little") + text)
    | st.binary(max_size=40)
)
def test_random_bytes_raise_only_tensor_errors(noise: bytes) -> None:
    with contextlib.suppress(TensorError):
        unpack(noise)


def test_a_header_whose_length_resembles_a_pickle_is_read() -> None:
    """A length of 640 is stored as 80 02, the first bytes of a pickle of protocol 2."""
    for letters in range(400, 700):
        data = pack({"a": np.zeros(1, np.float32)}, {"note": "x" * letters})
        if data.startswith(b"\x80\x02"):
            assert unpack(data)[1]["note"] == "x" * letters
            return
    pytest.fail("no header of 640 bytes")


def raw(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


BAD_FILES = {
    "no object": raw([1]),
    "unknown dtype": raw({"a": {"dtype": "F8", "shape": [1], "data_offsets": [0, 1]}}, b"1"),
    "hole": raw({"a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}, b"12"),
    "wrong size": raw({"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 2]}}, b"12"),
    "negative shape": raw({"a": {"dtype": "U8", "shape": [-1], "data_offsets": [0, 1]}}, b"1"),
    "rest": raw({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"12"),
    "beyond the end": raw({"a": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}, b"12"),
    "no offsets": raw({"a": {"dtype": "U8", "shape": [1]}}, b"1"),
    "metadata no text": raw({METADATA: {"a": 1}}),
    "no json": (5).to_bytes(8, "little") + b"\xff\xfe{}}",
    "huge header": (1 << 60).to_bytes(8, "little") + b"{}",
    "header of many megabytes": (5 << 20).to_bytes(8, "little") + b" " * (5 << 20),
    "one offset": raw({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0]}}, b"1"),
    "text as offsets": raw({"a": {"dtype": "U8", "shape": [1], "data_offsets": "01"}}, b"1"),
    "shape no list": raw({"a": {"dtype": "U8", "shape": 3, "data_offsets": [0, 3]}}, b"123"),
    "many dimensions": raw({"a": {"dtype": "U8", "shape": [1] * 99, "data_offsets": [0, 1]}}, b"1"),
    "endless axis": raw({"a": {"dtype": "U8", "shape": [0, 10**30], "data_offsets": [0, 0]}}),
    "long axes": raw({"a": {"dtype": "U8", "shape": [0, 2**40], "data_offsets": [0, 0]}}),
    "deep": (99_999).to_bytes(8, "little") + b"[" * 99_999,
    "long number": (5008).to_bytes(8, "little") + b'{"a": ' + b"9" * 5001 + b"}",
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_malformed_tensor_files_are_rejected(case: str) -> None:
    with pytest.raises(TensorError):
        unpack(BAD_FILES[case])


def test_an_unsupported_dtype_cannot_be_packed() -> None:
    with pytest.raises(TensorError, match="complex"):
        pack({"z": np.zeros(2, np.complex64)}, {})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e7])
def test_weights_that_no_training_gives_are_refused(data: bytes, value: float) -> None:
    weights, metadata = unpack(data)
    weights = {name: array.copy() for name, array in weights.items()}
    weights["stem.bias"][3] = value
    with pytest.raises(CheckpointError, match="is not finite or exceeds"):
        cp.TowerCheckpoint.parse(pack(weights, metadata))


def test_outputs_that_are_not_finite_are_refused(data: bytes) -> None:
    """Each weight is lawful, but together they overflow; no search would end well."""
    network = cp.TowerCheckpoint.parse(data).network()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(WEIGHT_MAX)
    position = Position.start(CONFIG)
    codes = position.legal_codes()
    with pytest.raises(CheckpointError, match="outputs of the network are not finite"):
        Evaluator(CONFIG, network).evaluate(position.state[None], codes, np.array([0, len(codes)]))
