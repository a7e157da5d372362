"""`ringrift settings` on a real server."""

from __future__ import annotations

import json
from typing import Any


def test_settings_are_shown_changed_and_recorded(run: Any, system: Any) -> None:
    before = run.json("settings")
    assert before["generations"] == 2
    after = run.json("settings", "--set", "training.batch=32", "--why", "test")
    assert after == {**before, "training": {**before["training"], "batch": 32}}
    assert run.json("settings") == after
    run("settings", "--set", "training.batch=32")
    assert run.json("status")["settings_version"] == 2, (
        "setting a value that is in force is no change"
    )


def test_an_empty_setting_is_explained_as_nothing(run: Any, system: Any) -> None:
    assert run("settings", "alerts.webhook").startswith("alerts.webhook = nothing, the default\n")
    rows = run("settings", "training", "--format", "csv").splitlines()
    assert rows[0] == "name,meaning,values,default,in_force"
    run("settings", "--format", "csv", status=1)
    assert "--format csv is for settings with --explain or a name" in run.err


def test_a_setting_that_does_not_exist_is_refused(run: Any, system: Any) -> None:
    run("settings", "--set", "training.batches=32", status=1)
    assert "unknown setting 'training.batches'; did you mean training.batch?" in run.err
    json.loads(run("settings"))
