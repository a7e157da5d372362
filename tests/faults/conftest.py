"""The rows of the tests that print one, and the table of all at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chaos.table import Row, table


@pytest.fixture(scope="session")
def rows() -> Iterator[list[Row]]:
    """Filled by the tests, printed after the last of them; shown with `-s`."""
    found: list[Row] = []
    yield found
    print(f"\n\n{table(found)}")
