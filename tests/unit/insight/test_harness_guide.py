"""`ringrift harnesses`: the table, as the program goes by it."""

import json
from pathlib import Path

import pytest

from ringrift.cli.main import main
from ringrift.insight.harness_guide import harness_page

PAGE = Path(__file__).parents[3] / "docs" / "harnesses.md"


def test_the_guide_is_up_to_date() -> None:
    assert PAGE.read_text() == harness_page(), (
        "run `ringrift harnesses --guide > docs/harnesses.md`"
    )


def test_json_lists_the_models_of_each_harness(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["harnesses", "--json"]) == 0
    table = {row["harness"]: row for row in json.loads(capsys.readouterr().out)}
    assert table["minimax"]["models"] == {
        "network": [2],
        "nnue": [2],
        "nnue_policy": [2],
        "none": [2],
    }
    assert table["policy"]["models"]["nnue"] == []
    assert table["policy"]["models"]["nnue_policy"] == [2, 3, 4]
    assert table["gpu_gumbel"]["lockstep"] > table["gumbel"]["lockstep"]


def test_the_table_has_a_row_per_harness(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["harnesses"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "harness",
        "gumbel",
        "gpu_gumbel",
        "puct",
        "minimax",
        "maxn",
        "brs",
        "policy",
        "descent",
        "heuristic",
        "random",
    ]
