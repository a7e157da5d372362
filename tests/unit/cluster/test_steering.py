from __future__ import annotations

from pathlib import Path

import pytest

from ringrift.cli.main import main
from ringrift.cluster.steering import (
    apply_settings,
    on_this_machine,
    read_settings,
    with_known_architectures,
)
from ringrift.errors import CommandError
from ringrift.events import Settings, draft, encode
from ringrift.events.facts import SettingsChanged
from ringrift.events.settings_sources import load
from ringrift.log.blobs import Blobs
from ringrift.log.read import settings_in_force
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.nnue.network import NnueCheckpoint, build as build_nnue
from ringrift.rules import Config
from ringrift.tools.memory_log import MemoryLog


def settings_with(name: str) -> Settings:
    return load({"training.architecture": name})


def test_a_byte_order_mark_in_a_settings_file_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"training": {"batch": 64}}', "utf-8-sig")
    assert load(file=read_settings(path)).training.batch == 64


def test_former_names_are_replaced_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="v6 is now called v5-heavy-large"):
        assert (
            with_known_architectures(settings_with("v6")).training.architecture == "v5-heavy-large"
        )
    assert with_known_architectures(Settings()) == Settings()


@pytest.mark.parametrize(
    ("gpu", "given", "architecture", "games"),
    [
        (False, {}, "nnue_policy", 500),
        (False, {"selfplay.games": "40"}, "nnue_policy", 40),
        (False, {"training.architecture": "v2-micro"}, "v2-micro", 256),
        (False, {"training.architecture": "nnue"}, "nnue", 500),
        (True, {}, "v2-micro", 256),
        (True, {"training.architecture": "nnue_policy"}, "nnue_policy", 500),
    ],
)
def test_the_first_settings_follow_machine_and_architecture(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, given: dict[str, str], architecture: str, games: int
) -> None:
    monkeypatch.setattr("ringrift.cluster.steering.has_gpu_device", lambda: gpu)
    chosen = on_this_machine(lambda base: load(given, base=base))
    assert (chosen.training.architecture, chosen.selfplay.games) == (architecture, games)


def test_an_unknown_architecture_is_refused(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    with pytest.raises(CommandError, match="unknown architecture 'v7'; known are v2-micro, v2, v4"):
        with_known_architectures(settings_with("v7"))
    assert main(["up", "--set", "training.architecture=v7", "--data", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith(
        "ringrift: training.architecture: unknown architecture 'v7'"
    )
    assert not (tmp_path / "none").exists()


def test_the_table_of_architectures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "architectures"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["architecture"] == ["square8", "square19", "hex8", "hexagonal"]
    assert lines["v2-micro"] == ["127,396"] * 4


def test_an_nnue_that_cannot_play_a_config_is_refused() -> None:
    def chosen(name: str) -> Settings:
        return load({"training.architecture": name, "configs": "hex8_2p,hex8_3p"})

    assert with_known_architectures(chosen("nnue_policy")) == chosen("nnue_policy")
    for name, text in (
        ("nnue", "nnue does not support hex8_3p; for 3 seats"),
        ("nnue_mp", "nnue_mp does not support hex8_2p"),
    ):
        with pytest.raises(CommandError, match=text):
            with_known_architectures(chosen(name))


@pytest.mark.parametrize("field", ["architecture", "architectures", "cascade"])
def test_every_architecture_in_the_settings_must_exist(field: str) -> None:
    text = "v2-micro>v7" if field == "cascade" else "v7"
    with pytest.raises(CommandError, match=f"{field}: unknown architecture 'v7'"):
        with_known_architectures(load({f"training.{field}": text}))


def test_two_names_of_one_architecture_are_refused() -> None:
    with (
        pytest.warns(DeprecationWarning, match="v6"),
        pytest.raises(CommandError, match="architectures names v5-heavy-large twice"),
    ):
        with_known_architectures(load({"training.architectures": "v6,v5-heavy-large"}))


async def stored(log: MemoryLog, data: str) -> int:
    """Store settings with these data as another program would."""
    fact = SettingsChanged(version=7, settings=Settings(), why="w")
    item = draft(fact, cause=None, source="x@y")
    head, _, _ = encode(item).partition(b'"data":')
    body = head + b'"data":' + data.encode() + b"}"
    return log.broker.stream("EVENTS").store(item.subject, body, {}, None)


@pytest.mark.parametrize(
    "data",
    [
        '{"version":7,"settings":{"promotion":{"elo0":50.0}},"why":"w"}',
        '{"version":7,"settings":{"training":{"batch":0}},"why":"w"}',
        '{"version":-1,"settings":{},"why":"w"}',
        "[]",
    ],
)
async def test_settings_that_no_process_obeys_are_superseded(data: str) -> None:
    log = MemoryLog()
    changed = load({"training.batch": "128"})
    first = await apply_settings(log, changed, "w")
    bad = await stored(log, data)
    assert await settings_in_force(log) == (changed, first)
    version = await apply_settings(log, changed, "w")
    assert version == first + 1
    assert await settings_in_force(log) == (changed, version)
    assert await log.tail("EVENTS") == bad + 1
    assert await apply_settings(log, changed, "w") == version
    assert await log.tail("EVENTS") == bad + 1


async def test_a_network_in_the_settings_must_be_stored() -> None:
    log = MemoryLog()
    digest = await Blobs(log).put("models", network("hex8_2p"))
    init = {"training.init": f"hex8_2p={digest}"}
    assert await apply_settings(log, load(init), "w") == 1
    missing = {"training.distill_from": f"hex8_2p={'a' * 64}"}
    with pytest.raises(CommandError, match=r"training.distill_from: the network of hex8_2p=aaa"):
        await apply_settings(log, load(missing), "w")
    await Blobs(log).delete("models", digest)
    assert await apply_settings(log, load({**init, "seed": "2"}), "w") == 2, "in force before"


def network(config: str) -> bytes:
    board = Config.parse(config)
    tower = build("v2-micro", hex_board=board.shape.hex, seed=1)
    return TowerCheckpoint.save(tower, architecture="v2-micro", config=board)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"training.init": "hex8_2p={}", "training.architecture": "v4"},
            "v2-micro for hex8_2p, but networks of v4 are trained",
        )
    ],
)
async def test_a_network_in_the_settings_must_fit(given: dict[str, str], text: str) -> None:
    log = MemoryLog()
    digest = await Blobs(log).put("models", network("hex8_2p"))
    chosen = load({name: value.format(digest) for name, value in given.items()})
    with pytest.raises(CommandError, match=text):
        await apply_settings(log, chosen, "w")
    several = {"training.architectures": "v4,v2-micro", "training.init": f"hex8_2p={digest}"}
    assert await apply_settings(log, load(several), "w") == 1


async def test_a_network_in_the_settings_may_be_of_another_config() -> None:
    log = MemoryLog()
    digest = await Blobs(log).put("models", network("hex8_2p"))
    names = "init", "distill_from"
    chosen = {f"training.{name}": f"square19_4p={digest}" for name in names}
    assert await apply_settings(log, load(chosen), "w") == 1
    small = Config.parse("hex8_2p")
    data = NnueCheckpoint.save(build_nnue("nnue", small), architecture="nnue", config=small)
    nnue = await Blobs(log).put("models", data)
    with pytest.raises(CommandError, match=r"training\.init: nnue does not support hex8_3p"):
        await apply_settings(log, load({"training.init": f"hex8_3p={nnue}"}), "w")


async def test_a_damaged_network_in_the_settings_is_refused() -> None:
    log = MemoryLog()
    digest = await Blobs(log).put("models", b"network")
    with pytest.raises(CommandError, match=r"training\.distill_from: "):
        await apply_settings(log, load({"training.distill_from": f"hex8_2p={digest}"}), "w")
