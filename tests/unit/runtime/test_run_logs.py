"""Structured logs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from ringrift.runtime.run import configure_logs


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
