"""`ringrift experiment` on a real server."""

from __future__ import annotations

from typing import Any

CONFIG = ("--config", "hex8_2p")
START = ("experiment", "start", *CONFIG, "--hypothesis", "newer is better")


def test_an_experiment_is_started_shown_and_stopped(run: Any) -> None:
    found = run.json(*START, "--b", "training.shard_quality_power=1", "--pairs", "2")
    assert (found["a"], found["b"]) == (
        {"training.shard_quality_power": "0.0"},
        {"training.shard_quality_power": "1"},
    )
    (row,) = run.json("experiment", "list")
    assert (row["id"], row["hypothesis"]) == (found["experiment"], "newer is better")
    run(*START, "--b", "training.weight_decay=0.5", status=1)
    assert f"{found['experiment']} is running" in run.err
    shown = run("experiment", "show", found["experiment"])
    assert "a  training.shard_quality_power=0.0" in shown
    assert shown.splitlines()[-1] == "  running"
    run("experiment", "stop", *CONFIG, "--why", "a test")
    assert "stopped: a test" in run("experiment", "show", found["experiment"].partition("/")[2])
    run("experiment", "stop", *CONFIG, "--why", "a test", status=1)
    assert "no experiment of hex8_2p is running" in run.err


def test_an_experiment_that_cannot_be_made_is_refused(run: Any) -> None:
    run(*START, "--b", "training.window_samples=5", status=1)
    assert "training.window_samples cannot be tried; these can: training.batch" in run.err
    run(*START, "--b", "training.batch=-1", status=1)
    assert "batch" in run.err
    run(*START, "--b", "training.batch=256", status=1)
    assert "training.batch=256 is in force already" in run.err
    run("experiment", "show", "EVENTS/999", status=1)
    assert "ringrift experiment list" in run.err
