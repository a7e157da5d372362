"""The rules agree with recorded games of the reference engine; the check reports differences."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ringrift.cli.main import main
from ringrift.tools.parity.check import check
from ringrift.trust.traces.lines import TraceError

Edit = Callable[[list[dict[str, object]]], None]


def lines_of(path: Path) -> list[dict[str, object]]:
    with gzip.open(path, "rt") as stream:
        return [json.loads(line) for line in stream]


def edited(source: Path, target: Path, edit: Edit) -> Path:
    """A plain copy of a trace with something changed."""
    lines = lines_of(source)
    edit(lines)
    target.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return target


def parity(*paths: Path) -> int:
    """The exit status of the command."""
    return main(["parity", "check", *map(str, paths)])


def test_the_kept_traces_agree(parity_small: Path) -> None:
    report = check(sorted(parity_small.glob("*.jsonl.gz")))
    assert report.first is None, str(report.first)
    assert (report.games, report.mismatches, report.positions) == (16, 0, 100)


def test_all_traces_agree(parity_all: Path) -> None:
    report = check(sorted(parity_all.glob("*.jsonl.gz")))
    assert report.first is None, str(report.first)
    assert report.passed
    assert report.positions >= 400


def set_in(index: int, **values: object) -> Edit:
    return lambda lines: lines[index].update(values)


def drop_legal(lines: list[dict[str, object]]) -> None:
    """A list with one move less and one that is none."""
    moves = list(lines[2]["L"])  # type: ignore[call-overload]
    moves[0] = {"p": 1, "t": "skip_capture"}
    lines[2].update(L=moves, lh="0" * 16)


@pytest.mark.parametrize(
    ("edit", "shown"),
    [
        (
            set_in(1, p=2),
            [
                "seat or phase",
                "expected seat 2 ring_placement",
                "found seat 1 ring_placement",
                "step 0",
            ],
        ),
        (set_in(1, nl=5), ["legal moves differ", "expected 5 moves", "missing: none"]),
        (
            drop_legal,
            ["legal moves differ", 'missing: {"p":1,"t":"skip_capture"}', "surplus: ", "step 1"],
        ),
        (set_in(3, sh="0" * 16), ["state after", "expected hash 0000000000000000", "step 2"]),
        (set_in(2, m={"p": 1, "t": "skip_capture"}), ["the move played is not legal"]),
        (set_in(-1, winner=9), ["the end differs", "winner: expected 9, found"]),
        (set_in(-1, cause="x"), ["cause: expected 'x', found"]),
        (set_in(0, sh="0" * 16), ["start state differs"]),
        (lambda lines: lines.pop(5), ["numbering of the steps"]),
    ],
)
def test_a_difference_is_shown(
    parity_small: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    edit: Edit,
    shown: list[str],
) -> None:
    path = edited(parity_small / "hex8_2p_uniform.jsonl.gz", tmp_path / "trace.jsonl", edit)
    assert parity(path) == 1
    out = capsys.readouterr().out
    for text in shown:
        assert text in out
    assert re.fullmatch(r"games=0 steps=\d+ mismatches=1", out.splitlines()[-1])


def test_differing_state_lines_are_shown(
    parity_small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(lines: list[dict[str, object]]) -> None:
        step = next(line for line in lines if "S" in line)
        step.update(S=str(step["S"]).replace("elim 0,0", "elim 3,0"), sh="0" * 16)

    path = edited(parity_small / "hex8_2p_uniform.jsonl.gz", tmp_path / "trace.jsonl", spoil)
    assert parity(path) == 1
    out = capsys.readouterr().out
    assert "expected elim 3,0" in out
    assert "found    elim 0,0" in out


def test_wrong_end_positions_are_found(
    parity_small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edited(
        parity_small / "victory_dev.jsonl.gz", tmp_path / "victory.jsonl", set_in(0, winner=4)
    )
    assert parity(path) == 1
    assert "end-of-game test" in capsys.readouterr().out


def test_end_positions_alone_pass(parity_small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity(parity_small / "victory_dev.jsonl.gz") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "games=100 steps=0 mismatches=0"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"", "empty"),
        (b"\x1f\x8b\x08broken", "cannot be read"),
        (b"not json\n", "line 1"),
        (b"[1]\n", "line 1"),
        (b'{"kind":"header"}\n', "missing required field"),
        (b'{"kind":"other"}\n', "unknown kind"),
        (b'{"i":0,"p":1,"ph":"movement","m":{},"nl":1,"lh":"","sh":""}\n', "a step outside a game"),
        (b"\xff\xfe\n", "line 1"),
    ],
)
def test_unreadable_files_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, reason: str
) -> None:
    path = tmp_path / "trace.jsonl.gz"
    if content is not None:
        path.write_bytes(content)
    assert parity(path) == 2
    assert reason in capsys.readouterr().err


def test_a_cut_file_is_refused(parity_small: Path, tmp_path: Path) -> None:
    packed = (parity_small / "hex8_2p_uniform.jsonl.gz").read_bytes()
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(TraceError, match="cannot be read"):
        check([cut])
    path = edited(
        parity_small / "hex8_2p_uniform.jsonl.gz",
        tmp_path / "trace.jsonl",
        lambda lines: lines.pop(),
    )
    with pytest.raises(TraceError, match="without an end line"):
        check([path])


def test_nothing_to_check_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert parity() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "games=0 steps=0 mismatches=0"
