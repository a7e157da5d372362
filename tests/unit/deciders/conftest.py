"""Fixtures of the tests of deciders."""

from __future__ import annotations

from typing import Any

import pytest
from support import story as stories


@pytest.fixture
def story() -> type[stories.Story[Any]]:
    return stories.Story


@pytest.fixture
def settings_changed() -> Any:
    return stories.settings_changed
