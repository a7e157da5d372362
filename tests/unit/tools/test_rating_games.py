from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from ringrift.tools.rating import RatingFileError, read_games


def _file(folder: Path, text: str) -> Path:
    path = folder / "games.csv"
    path.write_text(text)
    return path


def test_winner_column(tmp_path: Path) -> None:
    path = _file(tmp_path, "first_player,second_player,winner\na,b,b\nb,a,b\n\na,b,a\n")
    assert read_games(path) == [(("b", "a"), 2), (("a", "b"), 1)]


def test_score_column_has_draws(tmp_path: Path) -> None:
    path = _file(
        tmp_path, "first_player,second_player,score_of_first\nb,a,0.5\na,b,.5\na,b,1\na,b,0.0\n"
    )
    assert read_games(path) == [((("a", "b"),), 2), (("a", "b"), 1), (("b", "a"), 1)]


@pytest.mark.parametrize(
    "row",
    ["c a b", "c>a>b", "c;a;b", "c|a|b", '"c,a,b"', "c,a,b", "[c a b]", " c > a > b ", "c-a-b"],
)
def test_ranking_separators(tmp_path: Path, row: str) -> None:
    assert read_games(_file(tmp_path, f"ranking_best_to_worst\n{row}\n")) == [(("c", "a", "b"), 1)]


def test_names_may_have_dashes(tmp_path: Path) -> None:
    assert read_games(_file(tmp_path, "ranking_best_to_worst\nc-1 a-2\n")) == [(("c-1", "a-2"), 1)]


def test_ranking_with_a_shared_rank(tmp_path: Path) -> None:
    path = _file(tmp_path, "ranking_best_to_worst\nc=a b\na = c > b\n")
    assert read_games(path) == [((("a", "c"), "b"), 2)]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "the file is empty"),
        ("a,b\n", 1, "unknown header"),
        ("first_player,second_player,winner\n", 1, "no games"),
        ("first_player,second_player,winner\na,b,a\na,b,c\n", 3, "winner 'c' is neither"),
        ("first_player,second_player,winner\na,a,a\n", 2, "against itself"),
        ("first_player,second_player,winner\n\na,b\n", 3, "3 filled cells"),
        ("first_player,second_player,score_of_first\na,b,2\n", 2, "use 0, 0.5 or 1"),
        ("first_player,second_player,score_of_first\na,b,x\n", 2, "is not a number"),
        ("ranking_best_to_worst\na b a\n", 2, "appears twice"),
        ("ranking_best_to_worst\na b c d e\n", 2, "5 players"),
        ("ranking_best_to_worst\na\n", 2, "1 players"),
        ("ranking_best_to_worst\na > > b\n", 2, "a name is missing"),
        ('ranking_best_to_worst\n"a b\n', 2, "not CSV"),
    ],
)
def test_bad_files_name_line_and_reason(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(RatingFileError, match=reason) as caught:
        read_games(_file(tmp_path, text))
    assert caught.value.line == line


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "games.csv"
    path.write_bytes(b"ranking_best_to_worst\na b\n\xff b\n")
    with pytest.raises(RatingFileError, match="line 3: not UTF-8"):
        read_games(path)


@given(
    content=st.binary(max_size=200),
    header=st.sampled_from(["", "ranking_best_to_worst\n", "first_player,second_player,winner\n"]),
)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, header: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(header.encode() + content)
    with suppress(RatingFileError):
        assert all(count >= 1 for _, count in read_games(path))
