"""A searcher and the participants of tests."""

from collections.abc import AsyncIterator

import pytest

from ringrift.analysis.participants import Library
from ringrift.analysis.searching import Searcher, searcher


@pytest.fixture
async def searching() -> AsyncIterator[Searcher]:
    async with searcher(threads=1) as found:
        yield found


@pytest.fixture
def library() -> Library:
    """A library without a log and without files."""
    return Library()
