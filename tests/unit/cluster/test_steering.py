from __future__ import annotations

from pathlib import Path

import pytest

from ringrift.cli.main import main
from ringrift.cluster.steering import read_settings, with_known_architecture
from ringrift.errors import CommandError
from ringrift.events import Settings
from ringrift.events.settings_sources import load


def settings_with(name: str) -> Settings:
    return load({"training.architecture": name})


def test_a_byte_order_mark_in_a_settings_file_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"training": {"batch": 64}}', "utf-8-sig")
    assert load(file=read_settings(path)).training.batch == 64


def test_former_names_are_replaced_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="v6 is now called v5-heavy-large"):
        assert (
            with_known_architecture(settings_with("v6")).training.architecture == "v5-heavy-large"
        )
    assert with_known_architecture(Settings()) == Settings()


def test_an_unknown_architecture_is_refused(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    with pytest.raises(CommandError, match="unknown architecture 'v7'; known are v2-micro, v2, v4"):
        with_known_architecture(settings_with("v7"))
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

    assert with_known_architecture(chosen("nnue_policy")) == chosen("nnue_policy")
    for name, text in (
        ("nnue", "nnue does not support hex8_3p; for 3 seats"),
        ("nnue_mp", "nnue_mp does not support hex8_2p"),
    ):
        with pytest.raises(CommandError, match=text):
            with_known_architecture(chosen(name))
