"""`ringrift retract` and `ringrift reanalyse` on a real server."""

from __future__ import annotations

from typing import Any


def test_reanalyse_needs_a_network(run: Any) -> None:
    run("reanalyse", "--config", "hex8_2p", status=1)
    assert "hex8_2p has no current network yet" in run.err
    run("reanalyse", "--config", "hex8_2p", "--games", "0", status=2)
    assert "Must be > 0" in run.err


def test_retract_records_a_fact(run: Any, system: Any) -> None:
    for words, text in (
        ((), "select games"),
        (("--node", "moon"), "no game matches"),
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
    assert "already retracted" in run.err
