"""`ringrift tune` on a real server."""

from __future__ import annotations

from typing import Any


def test_tune_keeps_earlier_values_until_a_reset(run: Any) -> None:
    config = ("--config", "hex8_2p")
    assert "as in the settings" in run("tune", *config)
    run("tune", *config, "--set", "training.learning_rate=0.001", "--set", "training.batch=64")
    values = run.json("tune", *config, "--set", "training.batch=128")["values"]
    assert values == {"training.learning_rate": "0.001", "training.batch": "128"}
    assert run.json("tune", *config)["values"] == values
    assert "training.batch=128 " in run("tune", *config)
    assert run.json("tune", *config, "--reset")["values"] == {}


def test_a_person_raises_a_config(run: Any) -> None:
    config = ("--config", "hex8_2p")
    assert run.json("tune", *config)["priority"] == 1.0
    assert "2.5 times" in run("tune", *config, "--priority", "2.5", "--why", "for the paper")
    run("tune", "--config", "hex8_3p", "--priority", "0.5")
    assert run.json("tune", *config)["priority"] == 2.5
    assert "hex8_2p=2.5" in run("settings", "--json")
    assert run.json("tune", *config, "--priority", "1")["priority"] == 1.0
    run("tune", "--config", "hex8_3p", "--priority", "1")
    run("tune", *config, "--priority", "-1", status=1)
    assert "scheduling.priorities" in run.err


def test_tune_refuses_settings_that_are_not_hyperparameters(run: Any) -> None:
    config = ("--config", "hex8_2p")
    run("tune", *config, "--set", "training.window_samples=5", status=1)
    assert (
        "training.window_samples cannot be tuned for one config; these can: training.batch"
        in run.err
    )
    run("tune", *config, "--set", "training.batch=-1", status=1)
    assert "batch" in run.err
    run("tune", "--config", "chess_2p", status=2)
    assert "chess_2p" in run.err
