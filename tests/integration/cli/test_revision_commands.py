"""`ringrift retract`, `reanalyse` and `tune` as they are typed, on a real server."""

from __future__ import annotations

from typing import Any


def test_tune_refuses_what_is_not_a_hyperparameter(run: Any) -> None:
    config = ("--config", "hex8_2p")
    assert "as in the settings" in run("tune", *config)
    run("tune", *config, "--set", "training.learning_rate=0.001", "--set", "training.batch=64")
    values = run.json("tune", *config, "--set", "training.batch=128")["values"]
    assert values == {"training.learning_rate": "0.001", "training.batch": "128"}
    assert run.json("tune", *config)["values"] == values
    assert "training.batch=128 " in run("tune", *config)
    assert run.json("tune", *config, "--reset")["values"] == {}
    run("tune", *config, "--set", "training.window_samples=5", status=1)
    assert (
        "training.window_samples cannot be tuned for one config; these can: training.batch"
        in run.err
    )
    run("tune", *config, "--set", "training.batch=-1", status=1)
    assert "batch" in run.err
    run("tune", "--config", "chess_2p", status=2)
    assert "chess_2p" in run.err


def test_reanalyse_needs_a_network(run: Any) -> None:
    run("reanalyse", "--config", "hex8_2p", status=1)
    assert "hex8_2p has no current network yet" in run.err
    run("reanalyse", "--config", "hex8_2p", "--games", "0", status=2)
    assert "Must be > 0" in run.err


def test_retract_records_a_fact(run: Any, system: Any) -> None:
    for words, text in (
        ((), "select games"),
        (("--node", "moon"), "no such game counts"),
        (("--games", "9..2"), "is not a range"),
        (("--model", "ab"), "no networks in the log start with 'ab'"),
    ):
        run("retract", *words, "--why", "w", status=1)
        assert text in run.err
    before = run.json("status")["configs"]["hex8_2p"]
    (fact,) = run.json("retract", "--games", system.game, "--why", "bad disk")["retracted"]
    assert (fact["config"], fact["count"], fact["games"], fact["why"]) == (
        "hex8_2p",
        1,
        [system.game],
        "bad disk",
    )
    assert run.json("status")["configs"]["hex8_2p"]["retracted"] == before["retracted"] + 1
    assert "GamesRetracted" in run(
        "events", "tail", "--no-follow", "--subject", "ringrift.retraction.>"
    )
    run("retract", "--node", "test", "--why", "again", status=1)
    assert "retracted already" in run.err
