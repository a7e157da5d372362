"""Pictures: what cannot be drawn is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringrift.errors import CommandError
from ringrift.insight.plot_style import figure


def test_an_unknown_picture_format_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(CommandError, match=r"elo\.foo: the suffix must be one of .*png"),
        figure(tmp_path / "elo.foo", "title", "x", "y"),
    ):
        raise AssertionError("nothing is drawn")
