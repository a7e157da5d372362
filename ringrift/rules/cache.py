"""The cache folder of compiled code, computed without importing numba, which takes a second."""

import os
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

CACHE_PREFIX: Final = "ringrift-"
PLAIN_SOURCES: Final = frozenset(
    f"{name}.py"
    for name in (
        *("__init__", "cache", "config", "errors", "notation"),
        *("position", "position_text", "record", "version"),
    )
)
"""Sources without compiled code and without constants that enter it; editing them leaves the cache
valid."""


def digest(sources: Iterable[Path]) -> str:
    """Return the digest of the content of `sources` and of the versions of numba and numpy."""
    found = sha256(f"{version('numba')} {version('numpy')}".encode())
    for path in sorted(sources):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def cache_folder() -> Path | None:
    """Return the folder of the compiled rules, None if there is no home for it.

    It is below `NUMBA_CACHE_DIR` if set, else beside the sources if that is writable, else in the
    user's cache."""
    here = Path(__file__).parent
    sources = [path for path in here.glob("*.py") if path.name not in PLAIN_SOURCES]
    name = CACHE_PREFIX + digest(sources)
    given = os.environ.get("NUMBA_CACHE_DIR", "")
    if given:
        path = Path(given)
        # a parent process has already appended the name
        return (path.parent if path.name.startswith(CACHE_PREFIX) else path) / name
    if os.access(here, os.W_OK):
        return here / "__pycache__" / name
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringrift" / name
    except RuntimeError:  # the user has no account, and no HOME is set
        return None
