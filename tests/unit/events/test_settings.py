"""Settings from four sources; invalid ones are refused by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ringrift.events import (
    Settings,
    SettingsError,
    UndecodableEvent,
    decode,
    draft,
    encode,
    settings_sources,
)
from ringrift.events.facts import SettingsChanged
from ringrift.events.settings import model_for
from ringrift.events.settings_sources import (
    from_arguments,
    from_environment,
    load,
    names,
    old_variables,
)


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
                text = ",".join(map(str, value))
            case str():
                text = value
            case _:
                text = json.dumps(value)
        assert load(from_arguments([f"{name}={text}"])) == Settings(), name


@pytest.mark.parametrize(("text", "waits"), [("60", (60.0,)), ("5,60.5", (5.0, 60.5))])
def test_a_list_of_numbers_is_set_by_name(text: str, waits: tuple[float, ...]) -> None:
    settings = load(from_arguments([f"operation.ticket_waits={text}"]))
    assert settings.operation.ticket_waits == waits


def test_variables_of_a_process_are_not_settings() -> None:
    package = Path(settings_sources.__file__).parents[1]
    texts = (path.read_text() for path in package.rglob("*.py"))
    variables = {name for text in texts for name in re.findall(r'"(RINGRIFT_[A-Z_]+)"', text)}
    assert {"RINGRIFT_SERVER", "RINGRIFT_ARCHIVE", "RINGRIFT_CACHE_BYTES"} <= variables
    assert from_environment(dict.fromkeys(variables, "x")) == {}
    assert old_variables(dict.fromkeys(variables, "x")) == []


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


@pytest.mark.parametrize(
    ("variable", "now"),
    [
        ("RINGRIFT_NODE_ID", "`RINGRIFT_NODE` now"),
        ("RINGRIFT_P2P_URL", "not needed: servers find each other by `ringrift cluster init` now"),
        ("RINGRIFT_STALENESS_WEIGHT", "`RINGRIFT_SCHEDULING_WEIGHTS_STALENESS` now"),
    ],
)
def test_a_variable_of_the_predecessor_names_the_new_one(variable: str, now: str) -> None:
    assert from_environment({variable: "1"}) == {}  # it stops nothing
    (line,) = old_variables({variable: "1", "NODE_ID": "other", "RINGRIFT_NODE": "n"})
    assert line == f"environment variable {variable} is ignored; it is {now}"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("promotion.elo1=0", "promotion.elo1 must be greater than promotion.elo0 (0); got 0"),
        ("promotion.elo1=-5", "promotion.elo1 must be greater than promotion.elo0 (0); got -5"),
        ("promotion.elo0=40", "promotion.elo1 must be greater than promotion.elo0 (40); got 40"),
        ("evaluation.waiting_resume=70", "waiting_max must be greater than evaluation.waiting_res"),
        ("evaluation.waiting_resume=71", "evaluation.waiting_max must be greater than"),
        ("operation.pressure.warning=0.5", "operation.pressure.warning must be at least operation"),
        ("operation.disk.hysteresis=0.9", "operation.disk.caution must be at least"),
        ("operation.node_lost_seconds=1", "operation.node_lost_seconds must be at least"),
        ("regression.elo.critical=1", "regression.elo.critical must be at least regression.elo."),
        ("loss.deviations.minor=5", "loss.deviations.major must be at least"),
        ("loss.history=3", "loss.history must be at least loss.history_min (4); got 3"),
        ("quality.degraded_below=0.6", "quality.recovered_from must be at least"),
        ("velocity.stalled_below=3", "velocity.fast_above must be at least"),
        ("velocity.hours_min=7", "velocity.window_hours must be at least"),
        ("curriculum.weight_min=5", "curriculum.weight_max must be at least"),
        ("scheduling.cap=0.2", "scheduling.cap must be at least scheduling.floor (0.25); got 0.2"),
        ("scheduling.emergency_games=5", "scheduling.emergency_games must be at least"),
        ("scheduling.critical_factor=60", "scheduling.emergency_factor must be at least"),
        ("scheduling.quotas=hex8=0.3,hex8=0.4", "scheduling.quotas names hex8 twice"),
        ("configs=hex8_2p,square8_2p,hex8_2p", "configs names hex8_2p twice; name it once"),
        ("configs=", "configs is empty: name at least one"),
        ("training.architectures=v2,v2", "training.architectures names v2 twice"),
        ("training.cascade=v2>v4,v2>v5-heavy", "training.cascade names v2 twice"),
        (f"training.init=hex8_2p={'a' * 64},hex8_2p={'b' * 64}", "training.init names hex8_2p"),
        ("selfplay.max_moves=20", "selfplay.max_moves: Expected `int` >= 50; got 20"),
        ("selfplay.games=97000", "selfplay.games must be at most 1000 times selfplay.games_per_"),
        ("selfplay.games=1000000000", "selfplay.games: Expected `int` <= 100000"),
        ("training.learning_rate=1e308", "training.learning_rate: Expected `float` <= 1000000000"),
        ("velocity.window_hours=1e9", "velocity.window_hours: Expected `float` <= 1000000.0"),
        ("operation.dead_letter_retries=1000", "operation.dead_letter_retries: Expected"),
        ("seed=9007199254740992", "seed: Expected `int` <= 9007199254740991"),
        ("configs=hex8_2p\n", "configs[0]: Expected a config such as hex8_2p; got"),
        ("training.adoption=no", "training.adoption: Expected true or false; got 'no'"),
    ],
)
def test_settings_that_could_stop_the_loop_are_refused(arguments: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(reason)):
        load(from_arguments([arguments]))
    name, _, value = arguments.partition("=")
    with pytest.raises(SettingsError, match=re.escape(reason)):
        load(from_environment({f"RINGRIFT_{name.upper().replace('.', '_')}": value}))


def test_the_settings_of_a_file_and_of_a_fact_obey_the_same_laws() -> None:
    with pytest.raises(SettingsError, match=r"promotion\.elo1 must be greater"):
        load(file=b'{"promotion":{"elo0":50}}')
    fact = SettingsChanged(version=1, settings=Settings(), why="w")
    body = encode(draft(fact, cause=None, source="x@y")).replace(b'"elo0":0.0', b'"elo0":50.0')
    with pytest.raises(UndecodableEvent, match="elo1 must be greater than elo0"):
        decode(body, stream="EVENTS", seq=1)


def test_a_value_that_contradicts_a_default_is_valid_beside_the_settings_in_force() -> None:
    base = load(from_arguments(["evaluation.waiting_max=200"]))
    chosen = load(from_arguments(["evaluation.waiting_resume=100"]), base=base)
    assert chosen.evaluation.waiting_resume == 100
