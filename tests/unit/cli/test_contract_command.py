from __future__ import annotations

from pathlib import Path

import pytest

from ringrift.cli.main import main


def test_check_lists_the_files_that_export_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["contract", "check", "--root", str(tmp_path)]) == 1
    assert "is not the root of the repository" in capsys.readouterr().err
    (tmp_path / "pyproject.toml").touch()
    assert main(["contract", "export", "--root", str(tmp_path)]) == 0
    assert "written  streams/GAMES.json" in capsys.readouterr().out
    assert main(["contract", "check", "--root", str(tmp_path)]) == 0
    assert main(["contract", "export", "--root", str(tmp_path)]) == 0
    (tmp_path / "nats.conf").write_text("port: 1\n")
    (tmp_path / "streams" / "OLD.json").write_text("{}\n")
    capsys.readouterr()
    assert main(["contract", "check", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "nats.conf is out of date",
        "streams/OLD.json is out of date",
    ]
    assert main(["contract", "export", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "written  nats.conf",
        "removed  streams/OLD.json",
    ]
