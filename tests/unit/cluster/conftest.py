from __future__ import annotations

from support.process_fixtures import plain_tracebacks, pytest_asyncio_loop_factories, system

__all__ = ["plain_tracebacks", "pytest_asyncio_loop_factories", "system"]
