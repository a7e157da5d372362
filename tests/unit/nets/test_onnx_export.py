"""The ONNX graph has the outputs of the network, for any number of positions and moves."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.positions import arrays_of, random_positions

from ringrift.nets import onnx_export
from ringrift.nets.architectures import build
from ringrift.nets.batch import Batcher
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.nets.onnx_export import NAMES, OnnxError, export, inputs
from ringrift.nets.shapes import ARCHITECTURES
from ringrift.rules import Config


def checkpoint(monkeypatch: pytest.MonkeyPatch, key: str) -> bytes:
    """Return a small network with every kind of block."""
    small = replace(ARCHITECTURES["v5-heavy"], blocks=2, channels=16, global_every=1)
    monkeypatch.setitem(ARCHITECTURES, "small", small)
    config = Config.parse(key)
    network = build("small", hex_board=config.shape.hex, seed=2, auxiliary=("rank",))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    return TowerCheckpoint.save(network, architecture="small", config=config)


@pytest.mark.parametrize("key", ["hex8_3p", pytest.param("square8_2p", marks=pytest.mark.slow)])
def test_the_exported_graph_gives_the_outputs_of_the_network(key: str, monkeypatch) -> None:
    for package in onnx_export.PACKAGES:
        pytest.importorskip(
            package, reason=f"{package} is not installed: pip install 'ringrift[onnx]'"
        )
    data = checkpoint(monkeypatch, key)
    exported, difference = export(data)
    assert 0 < difference < 1e-4
    assert b"site-packages" not in exported  # no path of this machine
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == list(NAMES)
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["digest"] == digest_of(data)
    assert json.loads(metadata["ringrift"])["config_key"] == key
    network = TowerCheckpoint.parse(data).network().eval()
    for count in (1, 2, 17):
        positions = random_positions(key, count=count, seed=count)
        batch = Batcher(positions[0].geometry, features=True).encode(*arrays_of(positions))
        found = session.run(None, dict(zip(NAMES, (t.numpy() for t in inputs(batch)), strict=True)))
        with torch.inference_mode():
            expected = network(*batch)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-4)
    monkeypatch.setattr(onnx_export, "DIFFERENCE_MAX", 0.0)
    monkeypatch.setattr(onnx_export, "_export", lambda *_: exported)
    with pytest.raises(OnnxError, match="outputs differ by"):
        export(data)


def test_the_error_without_the_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OnnxError, match=r"needs onnx, onnxscript: pip install 'ringrift\[onnx\]'"):
        export(b"")
