"""Every setting is explained by its declaration."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from ringrift.errors import CommandError
from ringrift.events import Settings
from ringrift.events.settings_sources import load, names
from ringrift.insight.settings_guide import explained, in_text


def test_every_setting_has_an_explanation_of_its_own() -> None:
    found = explained(Settings())
    assert [item.name for item in found] == names()
    groups = {inspect.getdoc(type(value)) for value in msgspec.structs.astuple(Settings())}
    for item in found:
        assert item.meaning, item.name
        assert item.meaning not in {" ".join((text or "").split()) for text in groups}, item.name
        assert "requirement" not in item.meaning, item.name


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("selfplay.pie", "true or false"),
        ("selfplay.budget", "fixed or tiers"),
        ("selfplay.games", "a whole number from 1 to 100,000"),
        ("training.min_samples", "a whole number, at least 1"),
        ("training.learning_rate", "a number above 0"),
        ("tuning.rate_min", "a number above 0, at most 1"),
        ("velocity.fast_above", "a number"),
        ("velocity.window_hours", "a number above 0, at most 1,000,000"),
        ("promotion.alpha", "a number from 1e-06, less than 0.5"),
        ("configs", "none, or several separated by commas: a config such as hex8_2p"),
        ("operation.disk.caution", "a number from 0 to 1"),
    ],
)
def test_values_are_described_in_words(name: str, values: str) -> None:
    (item,) = explained(Settings(), name)
    assert item.values == values


def test_value_in_force_and_default_are_written_as_on_the_command_line() -> None:
    changed = load({"training.batch": "128", "training.architectures": "v2,v4"})
    batch, competing, pie = (
        *explained(changed, "training.batch"),
        *explained(changed, "training.architectures"),
        *explained(changed, "selfplay.pie"),
    )
    assert (in_text(batch.default), in_text(batch.in_force)) == ("256", "128")
    assert (in_text(competing.default), in_text(competing.in_force)) == ("none", "v2,v4")
    assert in_text(pie.in_force) == "false"


def test_a_group_is_explained_and_an_unknown_name_refused() -> None:
    group = explained(Settings(), "operation.disk")
    assert [item.name.rpartition(".")[2] for item in group] == [
        "caution",
        "warning",
        "critical",
        "emergency",
        "hysteresis",
    ]
    with pytest.raises(CommandError, match="no setting is called 'train': the groups are configs"):
        explained(Settings(), "train")
