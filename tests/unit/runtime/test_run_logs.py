"""Structured logs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from ringrift.runtime.logs import configure_logs


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_json_logs_are_lines_with_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGRIFT_LOG", "json")
    configure_logs()
    try:
        raise ValueError("no luck")
    except ValueError:
        structlog.get_logger().error("failed", cause="EVENTS/1", exc_info=True)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["cause"], line["level"]) == ("failed", "EVENTS/1", "error")
    assert "ValueError: no luck" in line["exception"]


def test_an_unknown_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGRIFT_LOG", "xml")
    with pytest.raises(SystemExit, match="give console or json"):
        configure_logs()


@pytest.mark.parametrize(("level", "shown"), [("", 2), ("INFO", 2), ("warning", 1), ("error", 0)])
def test_logs_begin_at_a_level(
    level: str, shown: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGRIFT_LOG_LEVEL", level or "info")
    configure_logs()
    structlog.get_logger().info("dispatched")
    structlog.get_logger().warning("failed")
    assert len(capsys.readouterr().err.splitlines()) == shown


def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGRIFT_LOG_LEVEL", "loud")
    with pytest.raises(SystemExit, match="debug, info, warning, error"):
        configure_logs()


def test_a_traceback_has_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    secret = "p4ssw0rd"
    try:
        raise ValueError(f"no luck with {len(secret)} characters")
    except ValueError:
        structlog.get_logger().error("failed", cause="EVENTS/1", exc_info=True)
    lines = capsys.readouterr().err
    assert "ValueError: no luck with 8 characters" in lines
    assert "p4ssw0rd" not in lines.replace('secret = "p4ssw0rd"', "")
    assert len(lines.splitlines()) < 10
