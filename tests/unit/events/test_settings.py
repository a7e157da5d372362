"""Settings from four sources; invalid ones are refused by name."""

from __future__ import annotations

import json

import pytest

from ringrift.events import Settings, SettingsError
from ringrift.events.settings import model_for
from ringrift.events.settings_sources import from_arguments, from_environment, load, names


def test_a_later_source_takes_precedence() -> None:
    file = json.dumps({"training": {"batch": 1, "min_samples": 2}, "seed": 3}).encode()
    environment = from_environment(
        {"RINGRIFT_TRAINING_BATCH": "10", "RINGRIFT_SEED": "30", "HOME": "/"}
    )
    arguments = from_arguments(["seed=300", "configs=hex8_2p,square8_3p", "selfplay.pie=true"])
    settings = load(environment, arguments, file=file)
    assert (settings.training.min_samples, settings.training.batch, settings.seed) == (2, 10, 300)
    assert settings.configs == ("hex8_2p", "square8_3p")
    assert settings.selfplay.pie is True
    assert settings.evaluation == Settings().evaluation
    assert load(arguments, base=settings) == settings


def test_every_setting_can_be_set_to_its_default_by_name() -> None:
    assert load() == Settings()
    for name in names():
        value = Settings()
        for part in name.split("."):
            value = getattr(value, part)
        match value:
            case tuple():
                text = ",".join(value)
            case str():
                text = value
            case _:
                text = json.dumps(value)
        assert load(from_arguments([f"{name}={text}"])) == Settings(), name


@pytest.mark.parametrize("variable", ["RINGRIFT_SERVER", "RINGRIFT_DATA", "RINGRIFT_NODE"])
def test_variables_of_a_process_are_not_settings(variable: str) -> None:
    assert from_environment({variable: "x"}) == {}


@pytest.mark.parametrize(
    "variable",
    [
        *("RINGRIFT_PORT", "RINGRIFT_SERVICE_HOST", "RINGRIFT_SERVICE_PORT_CLIENT"),
        *("RINGRIFT_PORT_4222_TCP", "RINGRIFT_PORT_4222_TCP_ADDR", "RINGRIFT_SERVER_PORT"),
    ],
)
def test_variables_of_a_container_platform_are_not_settings(variable: str) -> None:
    assert from_environment({variable: "tcp://10.0.0.1:4222"}) == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["training.batch=none"], "batch"),
        (["training.batch=0"], "batch"),
        (["training.batch=1.5"], "batch"),
        (["training.btach=5"], "'training.btach'.*did you mean training.batch"),
        (["training=5"], "'training'"),
        (["selfplay.pie=maybe"], "pie"),
        (["configs=chess_2p"], "configs"),
        (["seed"], "write seed=VALUE"),
        (["nothing=1"], "'nothing'"),
        (["promotion.alpha=0.9"], "alpha"),
    ],
)
def test_an_invalid_setting_is_refused_by_name(arguments: list[str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        load(from_arguments(arguments))


def test_an_unknown_variable_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"RINGRIFT_TRAINING_BACTH.*did you mean TRAINING_BATCH"
    ):
        from_environment({"RINGRIFT_TRAINING_BACTH": "1"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "settings file"),
        (b"[]", "settings file"),
        (b'{"training":{"x":1}}', "training.x"),
        (b'{"seed":-1}', "seed"),
    ],
)
def test_an_invalid_file_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        load(file=content)


def test_networks_are_given_by_config() -> None:
    chosen = load(
        from_arguments([f"training.init=hex8_4p={'a' * 64},square8_2p={'b' * 64}"])
    ).training
    assert model_for(chosen.init, "hex8_4p") == "a" * 64
    assert model_for(chosen.init, "square8_2p") == "b" * 64
    assert model_for(chosen.init, "hex8_2p") is None
    for text in ("a" * 64, f"hex9_2p={'a' * 64}", "hex8_2p=latest"):
        with pytest.raises(SettingsError, match=r"training\.distill_from"):
            load(from_arguments([f"training.distill_from={text}"]))


def test_a_tier_a_severity_and_a_pace_have_one_value_each() -> None:
    settings = Settings()
    assert settings.loss.deviations.of("major") == 4.5
    assert settings.exploration.decay.of("fast") == 0.98
    assert settings.exploration.decay.of(None) == settings.exploration.decay.steady
    assert [settings.regression.elo.reached(elo) for elo in (29.9, 30, 75, 150)] == [
        None,
        "minor",
        "major",
        "critical",
    ]


def test_a_promotion_test_without_a_range_is_refused() -> None:
    reason = r"promotion.elo1 must be greater than promotion.elo0 \(0\); got -5"
    with pytest.raises(SettingsError, match=reason):
        load(from_arguments(["promotion.elo1=-5"]))


@pytest.mark.parametrize(
    ("variable", "now"),
    [
        ("RINGRIFT_NODE_ID", "RINGRIFT_NODE now"),
        ("RINGRIFT_STALENESS_WEIGHT", "RINGRIFT_SCHEDULING_WEIGHTS_STALENESS now"),
    ],
)
def test_a_variable_of_the_predecessor_names_the_new_one(variable: str, now: str) -> None:
    with pytest.raises(SettingsError, match=now):
        from_environment({variable: "1"})
