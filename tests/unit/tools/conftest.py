"""Recorded traces of the reference engine, for the tests of the parity check."""

from pathlib import Path

import pytest

PARITY_ALL = Path(__file__).parents[4] / "shared" / "rules" / "parity"
PARITY_SMALL = Path(__file__).parents[2] / "data" / "parity"


@pytest.fixture(scope="session")
def parity_small() -> Path:
    """The few traces kept in the repository."""
    return PARITY_SMALL


@pytest.fixture(scope="session")
def parity_all() -> Path:
    """All traces, where they are at hand."""
    if not PARITY_ALL.is_dir():
        pytest.skip("the full set of traces is not here")
    return PARITY_ALL
