"""Settings from four places, refused by name; tickets that follow from the fact that asked for
them."""

from __future__ import annotations

import json

import pytest

from ringrift.events import Settings, SettingsError, UndecodableEvent
from ringrift.events.facts import EvaluationRequested, Seat, SelfplayPlanned, TrainingRequested
from ringrift.events.settings import model_for
from ringrift.events.settings_sources import from_arguments, from_environment, load, names
from ringrift.events.tickets import (
    EvaluationTicket,
    SelfplayTicket,
    TrainingTicket,
    decode_ticket,
    encode_ticket,
    subject_of,
    tickets_of,
)


def test_the_later_source_wins() -> None:
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


def test_the_defaults_are_valid_and_every_name_can_be_set_to_its_own_value() -> None:
    assert load() == Settings()
    for name in names():
        value = Settings()
        for part in name.split("."):
            value = getattr(value, part)
        text = (
            ",".join(value)
            if isinstance(value, tuple)
            else json.dumps(value)
            if not isinstance(value, str)
            else value
        )
        assert load(from_arguments([f"{name}={text}"])) == Settings(), name


@pytest.mark.parametrize("variable", ["RINGRIFT_SERVER", "RINGRIFT_DATA", "RINGRIFT_NODE"])
def test_what_configures_a_process_is_no_setting(variable: str) -> None:
    assert from_environment({variable: "x"}) == {}


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
def test_a_bad_setting_is_refused_by_name(arguments: list[str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        load(from_arguments(arguments))


def test_a_variable_that_names_nothing_is_refused() -> None:
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
def test_a_bad_file_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        load(file=content)


def test_networks_are_named_by_config() -> None:
    chosen = load(
        from_arguments([f"training.init=hex8_4p={'a' * 64},square8_2p={'b' * 64}"])
    ).training
    assert model_for(chosen.init, "hex8_4p") == "a" * 64
    assert model_for(chosen.init, "square8_2p") == "b" * 64
    assert model_for(chosen.init, "hex8_2p") is None
    for text in ("a" * 64, f"hex9_2p={'a' * 64}", "hex8_2p=latest"):
        with pytest.raises(SettingsError, match=r"training\.distill_from"):
            load(from_arguments([f"training.distill_from={text}"]))


# tickets

PLAN = SelfplayPlanned(
    config="hex8_2p",
    generation=1,
    games=130,
    games_per_ticket=64,
    simulations=8,
    model=None,
    seed=1,
    settings_version=1,
)
TRAINING = TrainingRequested(
    config="hex8_3p",
    generation=1,
    architecture="v2",
    parent=None,
    shards=(),
    samples=1,
    seed=1,
    reason="r",
    settings_version=1,
)
_SEAT = Seat(participant="p", harness="random")
EVALUATION = EvaluationRequested(
    config="square8_2p",
    generation=1,
    candidate=_SEAT,
    opponent=_SEAT,
    purpose="random",
    round=0,
    starts=1,
    seed=1,
    settings_version=1,
)


def test_a_plan_becomes_tickets_that_cover_its_games_once() -> None:
    tickets = tickets_of(PLAN, "EVENTS/12")
    assert all(
        isinstance(ticket, SelfplayTicket) and ticket.cause == "EVENTS/12" for ticket in tickets
    )
    games = [
        n for ticket in tickets for n in range(ticket.first_game, ticket.first_game + ticket.games)
    ]
    assert games == list(range(130))
    assert len({ticket.ticket for ticket in tickets}) == 3
    assert tickets == tickets_of(PLAN, "EVENTS/12")
    assert not {t.ticket for t in tickets} & {t.ticket for t in tickets_of(PLAN, "EVENTS/13")}


@pytest.mark.parametrize(
    ("request_", "kind", "subject"),
    [
        (PLAN, SelfplayTicket, "ringrift.work.selfplay.5.hex8_2p"),
        (TRAINING, TrainingTicket, "ringrift.work.training.5.hex8_3p"),
        (EVALUATION, EvaluationTicket, "ringrift.work.evaluation.5.square8_2p"),
    ],
)
def test_tickets_come_back_as_they_were(request_, kind, subject) -> None:
    ticket = tickets_of(request_, "EVENTS/3")[0]
    assert isinstance(ticket, kind)
    assert subject_of(ticket) == subject
    assert subject_of(ticket, priority=1) == subject.replace(".5.", ".1.")
    assert decode_ticket(encode_ticket(ticket)) == ticket


BROKEN = [
    b"",
    b"\xff",
    b"{}",
    b'{"type":"cooking"}',
    b'{"type":"training","ticket":"t"}',
    b'{"type":"training","ticket":"\xff"}',
]


@pytest.mark.parametrize("body", [*BROKEN, b'{"x":' + b"[" * 100_000])
def test_what_is_no_ticket_is_refused(body: bytes) -> None:
    with pytest.raises(UndecodableEvent, match="ticket"):
        decode_ticket(body)
