"""Notation, position texts and records: bad text raises NotationError with place and reason."""

import random
import re
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings, strategies as st
from support.positions import record_of, replayed

from ringrift.rules import (
    CONFIGS,
    Config,
    ConfigError,
    IllegalMove,
    NotationError,
    Position,
    Record,
)
from ringrift.rules.notation import cell_ids, parse_token, token

T = TypeVar("T")
HEX8 = Config.parse("hex8_2p")


def played(config: Config, seed: int, plies: int | None = None) -> list[str]:
    """Return a random game, or its beginning."""
    rng, position = random.Random(seed), Position.start(config)
    moves: list[str] = []
    while not position.over and (plies is None or len(moves) < plies):
        moves.append(rng.choice(position.legal()))
        position.play(moves[-1])
    return moves


RECORD = str(record_of(HEX8, played(HEX8, 1), seats=("alpha", "beta"), tags={"Event": "test"}))
POSITIONS = [replayed(record_of(config, played(config, 3, 90))).text() for config in CONFIGS]
TOKENS = sorted({move for seed in range(3) for move in played(HEX8, seed)})


def test_cells_have_the_names_of_section_21_1() -> None:
    assert [
        len(cell_ids(Config(board, 2))) for board in ("square8", "square19", "hex8", "hexagonal")
    ] == [64, 361, 61, 469]
    assert list(cell_ids(Config("square8", 2)))[:3] == ["a1", "a2", "a3"]
    assert list(cell_ids(Config("square19", 2)))[-1] == "s19"
    assert "m13" in cell_ids(Config("hexagonal", 2))
    assert "a1" not in cell_ids(HEX8)


@pytest.mark.parametrize(
    "text",
    [
        "@e5",
        "@e5*2",
        "@e5*3",
        "a5-b5",
        "a5xb5-c5",
        ">a5xb5-c5",
        "L(a5..d5)",
        "L(a5..e5)=all",
        "L(a5..e5)=b5..e5",
        "Ea5.l",
        "Ea5.t",
        "Ea5.r",
        "Ta5/2",
        "Ta5/0",
        "Fa5",
        "Rc3-d4=A!e5",
        "Rc3-d4=P(b4..e4)",
        "Rc3-d4=F!e5",
        "Rc3-d4=S!e5",
        "~p",
        "~c",
        "~r",
        "~t",
        "-p",
        "-m",
        "-l",
        "-t",
        "swap",
        "resign",
        "timeout",
    ],
)
def test_every_kind_of_token_round_trips(text: str) -> None:
    assert token(HEX8, parse_token(HEX8, text)) == text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 0),
        ("@", 1),
        ("@e5*4", 3),
        ("@e5*1", 3),
        ("@a1", 1),
        ("a5-i9", 3),
        ("@e05", 1),
        ("Ta5/5", 3),
        ("Rc3-d4=X!e5", 3),
        ("é", 0),
    ],
)
def test_bad_tokens_are_refused_with_the_place(text: str, place: int) -> None:
    with pytest.raises(NotationError) as error:
        parse_token(HEX8, text)
    assert error.value.place == place


@pytest.mark.parametrize("key", ["", "hex8", "hex8_5p", "HEX8_2p", "square8_1p"])
def test_unknown_configs_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="unknown config"):
        Config.parse(key)


def outcome(read: Callable[[str], T], text: str) -> T | None:
    """Return the parsed value, or None if the text was refused with a place in it."""
    try:
        return read(text)
    except NotationError as error:
        place = error.place
    assert 0 <= place <= len(text)
    return None


def mutated(text: str, data: st.DataObject) -> str:
    """Return the text with a few characters deleted, replaced or inserted."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 3))
        new = data.draw(
            st.one_of(
                st.text(max_size=3),
                st.text('()[]{}/.,-~*<>@!=+0123456789abcdABCDxLRTEFpmlt \n"', max_size=3),
            )
        )
        text = text[:at] + new + text[at + gone :]
    return text


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_mutated_tokens_are_refused_or_round_trip(data: st.DataObject) -> None:
    text = mutated(data.draw(st.sampled_from(TOKENS)), data)
    code = outcome(lambda word: parse_token(HEX8, word), text)
    assert code is None or token(HEX8, code) == text


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_mutated_positions_are_refused_or_playable(data: st.DataObject) -> None:
    text = mutated(data.draw(st.sampled_from(POSITIONS)), data)
    position = outcome(Position.parse, text)
    if position is None:
        return
    assert position.text() == text
    for _ in range(20):  # an accepted position can be played
        if position.over:
            break
        position.play_code(data.draw(st.sampled_from(position.legal_codes().tolist())))


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_mutated_records_are_refused_or_round_trip(data: st.DataObject) -> None:
    text = mutated(RECORD, data)
    record = outcome(Record.parse, text)
    assert record is None or Record.parse(str(record)) == record


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_arbitrary_text_raises_notation_error(text: str) -> None:
    for read in (Record.parse, Position.parse):
        with pytest.raises(NotationError):
            read(text)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.key)
def test_records_round_trip(config: Config) -> None:
    moves = played(config, 11)
    record = record_of(config, moves, seats=tuple("wxyz"[: config.seats]), tags={"Event": "a b"})
    assert Record.parse(str(record)) == record
    cut = record_of(config, moves[:37])
    assert cut.result == "*"
    assert Record.parse(str(cut)) == cut


def test_the_record_of_section_21_3_round_trips() -> None:
    config = Config.parse("square8_2p")
    moves = [
        "@a2*3",
        "a2-f7",
        "-l",
        "-t",
        "@d2*2",
        "d2-a2",
        "-l",
        "-t",
        "@g2*2",
        "g2-c6",
        "-l",
        "-t",
    ]
    text = str(record_of(config, moves, seats=("alpha", "beta")))
    assert text.split("\n") == [
        '[Game "RingRift"]',
        '[Board "square8"]',
        '[Seats "2"]',
        '[Pie "off"]',
        '[Seat1 "alpha"] [Seat2 "beta"]',
        '[Result "*"]',
        "",
        "1/1. @a2*3 a2-f7 -l -t",
        "2/2. @d2*2 d2-a2 -l -t",
        "3/1. @g2*2 g2-c6 -l -t",
        "*",
        "",
    ]


def test_comments_and_white_space_are_ignored() -> None:
    loose = RECORD.replace(" -l", "\n {quiet {}".replace("{}", "}") + "  -l").replace(
        "[Seats", "{header} [Seats"
    )
    assert Record.parse(loose) == Record.parse(RECORD)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("[Seats", "[Seat"), "lacks the tag Seats"),
        (("hex8", "hex9"), "Board is"),
        (('"off"', '"maybe"'), "Pie is"),
        (("2/2.", "3/2."), "turn 2 of seat 2"),
        (("1/1. ", ""), "expected the mark 1/1."),
        (("-l", "-x"), "no move of section 21.2"),
        (("-l", "-t"), "is not legal"),
        (("1/1.", "{ 1/1."), "comments must be closed"),
        (('[Seat2 "beta"]', ""), "name all of Seat1, Seat2 or none"),
        (("alpha", "al\\pha"), "expected a tag"),
    ],
)
def test_bad_records_are_refused_with_the_reason(change: tuple[str, str], reason: str) -> None:
    with pytest.raises(NotationError, match=re.escape(reason)):
        Record.parse(RECORD.replace(*change, 1))


def test_a_wrong_result_is_refused() -> None:
    result = Record.parse(RECORD).result
    wrong = "2 territory_control" if result != "2 territory_control" else "1 territory_control"
    with pytest.raises(NotationError, match="its moves lead to"):
        Record.parse(RECORD[: RECORD.rindex(result)] + wrong)
    with pytest.raises(NotationError, match="the header says"):
        Record.parse(RECORD.replace(f'[Result "{result}"]', f'[Result "{wrong}"]'))
    with pytest.raises(IllegalMove):
        record_of(HEX8, ("-l",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("square8/2 8/8/8/8/8/8/8 1p 18,18 0,0 - 0//0/0 0", "8 rows"),
        ("square8/2 8/8/8/8/8/8/8/9 1p 18,18 0,0 - 0//0/0 0", "row 8 has 8 cells"),
        ("square8/2 8/8/8/8/8/8/8/7 1p 18,18 0,0 - 0//0/0 0", "here are 7"),
        ("square8/2 c7/8/8/8/8/8/8/8 1p 18,18 0,0 - 0//0/0 0", "seat 3 in a game of 2"),
        (
            "square8/2 (1)7/8/8/8/8/8/8/8 1p 18,18 0,0 - 0//0/0 0",
            "18 rings in hand and 1 on the board",
        ),
        ("square8/2 8/8/8/8/8/8/8/8 1p 18,18 1,0 - 0//0/0 0", "more than 36"),
        ("square8/2 8/8/8/8/8/8/8/8 1c 18,18 0,0 - 0//0/0 0", "needs from=cell"),
        (
            "square8/2 8/8/8/8/8/8/8/8 1m 18,18 0,0 must=a1 0//0/0 0",
            "name a stack of the seat to act",
        ),
        ("square8/2 8/8/8/8/8/8/8/8 1p 18,18 0,0 debt 0//0/0 0", "debt belongs to phase l"),
        ("square8/2 8/8/8/8/8/8/8/8 1p 18,18 0,0 actedlast=1 0//0/0 0", "in this order"),
        ("square8/2 8/8/8/8/8/8/8/8 1p 18,18 0,0 acted, 0//0/0 0", "in this order"),
        ("square8/2 8/8/8/8/8/8/8/8 1f 18,18 0,0 - 0//0/0 0", "has no legal move in phase f"),
        ("square8/2 8/8/8/8/8/8/8/8 1t 18,18 0,0 owe 0//0/0 0", "has no legal move in phase t"),
        ("square8/2 8/8/8/8/8/8/8/8 0p 18,18 0,0 - 0//0/0 0", "belong together"),
        ("square8/2 8/8/8/8/8/8/8/8 1p 18,18 0,0 - 1/2+1-/0/0 0", "turn order"),
        ("square8/2 8/8/8/8/8/8/8/8 1p 18,18 0,0 - 0//0/0", "8 fields, this has 7"),
        ("square8/3 8/8/8/8/8/8/8/8 1p 18,18,18 0,0,0 swap 0//0/0 0", "pie rule"),
    ],
)
def test_bad_positions_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(NotationError, match=re.escape(reason)):
        Position.parse(text)


def test_the_start_position_of_section_21_4() -> None:
    text = "square8/2 8/8/8/8/8/8/8/8 1p 18,18 0,0 swap 0//0/0 0"
    assert Position.start(Config.parse("square8_2p"), pie=True).text() == text
    assert Position.start(Config.parse("square8_2p")).text() == text.replace("swap", "-")
