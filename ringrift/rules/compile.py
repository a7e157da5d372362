"""How compiled code is built: numba, cached on disk, without reference counting.

Numba recompiles a function when its own file changes, but not when a file it calls into does. So
each cache folder is named by a digest of all sources that its functions may depend on: stale
machine code is never loaded.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

CACHE_PREFIX: Final = "ringrift-"
PLAIN_SOURCES: Final = frozenset(
    f"{name}.py"
    for name in (
        *("__init__", "config", "errors", "notation"),
        *("position", "position_text", "record", "version"),
    )
)
"""Sources without compiled code and without constants that enter it; editing them leaves the cache
valid."""

_config = cast(Any, numba.config)  # numba fills this module at run time
_njit = cast(Any, numba.njit)  # its stubs do not know _nrt


def _digest(sources: Iterable[Path]) -> str:
    digest = sha256(f"{numba.__version__} {np.__version__}".encode())
    for path in sorted(sources):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    """Return the folder of the compiled rules.

    It is below `NUMBA_CACHE_DIR` if set, else beside the sources if that is writable, else in the
    user's cache."""
    here = Path(__file__).parent
    sources = [path for path in here.glob("*.py") if path.name not in PLAIN_SOURCES]
    name = CACHE_PREFIX + _digest(sources)
    given = os.environ.get("NUMBA_CACHE_DIR", "")
    if given:
        path = Path(given)
        # a parent process has already appended the name
        return (path.parent if path.name.startswith(CACHE_PREFIX) else path) / name
    if os.access(here, os.W_OK):
        return here / "__pycache__" / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringrift" / name


# The environment variable also reaches child processes.
_config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = str(_cache_folder())


@contextmanager
def compiling_alone() -> Iterator[None]:
    """Hold a lock that lets one process compile at a time.

    The others wait and then find the machine code in the cache."""
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass  # not writable: nothing will be cached either, so waiting would gain nothing
        yield


class Compiler:
    """Compiles the functions of one package into a cache folder of their own.

    The folder is below that of the rules and also depends on `sources`, all files besides the rules
    that the functions may call into."""

    def __init__(self, name: str, sources: Iterable[Path]) -> None:
        self._folder = str(Path(_config.CACHE_DIR) / f"{name}-{_digest(sources)}")

    def compiled(self, function: F) -> F:
        """As `compiled`, in the folder of this compiler."""
        return self._in_folder(compiled, function)

    def inlined(self, function: F) -> F:
        """As `inlined`, in the folder of this compiler."""
        return self._in_folder(inlined, function)

    def _in_folder(self, decorate: Callable[[F], F], function: F) -> F:
        # numba reads the folder when it decorates a function
        outer, _config.CACHE_DIR = _config.CACHE_DIR, self._folder
        try:
            return decorate(function)
        finally:
            _config.CACHE_DIR = outer


def compiled(function: F) -> F:
    """Compile `function` at its first call, without the GIL.

    Reference counting is off, which doubles the speed, so it must not allocate."""
    return cast(F, _njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function))


def inlined(function: F) -> F:
    """As `compiled`, but compiled callers take in the source of the function.

    Every compiled function optimizes all that it calls again, so a chain of five calls would
    compile the last one five times. Inlining what is tiny or has one caller avoids that."""
    return cast(
        F, _njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")(function)
    )


# To numba these are the numpy types; to the type checker they return plain ints.

# For array indices: unsigned, so that no code is spent on negative indices.
U = cast(Callable[[Any], int], np.uint64)

# For arguments: numba would compile a function again for every literal it is called with.
i64 = cast(Callable[[Any], int], np.int64)


def _intrinsic(function: Callable[..., Any]) -> Callable[[int], int]:
    return cast(Callable[[int], int], intrinsic(function))


@_intrinsic
def lowest_bit(typingctx: Any, mask: Any) -> Any:
    """Index of the lowest set bit of a non-zero int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], numba.core.cgutils.true_bit)

    return numba.int64(numba.int64), codegen
