"""How the rules are compiled: numba, cached on disk, without reference counting.

Numba notices a change of the file a function stands in, but not of the files it calls into, so the
cache folder is named by a digest of all sources of this package: an edit anywhere in the rules
compiles them anew and can never meet stale machine code."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

CACHE_PREFIX = "ringrift-"


# Sources without compiled code and without constants that enter it; editing them leaves the cache
# valid.
_PLAIN = "__init__ bench config core errors notation parity position position_text ranking record trace version"
PLAIN_SOURCES = frozenset(f"{name}.py" for name in _PLAIN.split())


def _sources_digest() -> str:
    digest = sha256(f"{numba.__version__} {np.__version__}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name in PLAIN_SOURCES:
            continue
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    """Below `NUMBA_CACHE_DIR` if set, else beside the sources if writable, else in the user's
    cache."""
    name = CACHE_PREFIX + _sources_digest()
    given = os.environ.get("NUMBA_CACHE_DIR", "")
    if given:
        path = Path(given)
        return (path.parent if path.name.startswith(CACHE_PREFIX) else path) / name
    here = Path(__file__).parent
    if os.access(here, os.W_OK):
        return here / "__pycache__" / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringrift" / name


def _use_cache_folder() -> None:
    """Point numba to the folder, and through the environment also our child processes."""
    folder = str(_cache_folder())
    os.environ["NUMBA_CACHE_DIR"] = folder
    setattr(numba.config, "CACHE_DIR", folder)  # noqa: B010 (numba fills this module at run time)


_use_cache_folder()


@contextmanager
def compiling_alone() -> Iterator[None]:
    """Let one process at a time compile: the others wait and then find the result in the cache,
    instead of all doing the same."""
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass  # no place to write: nothing will be cached either, so there is nothing to wait for
        yield


# Compile times: every compiled function optimizes anew all it calls, so what is tiny, or called at
# one place only, is put into its callers instead of being compiled by itself.
_njit = cast(Any, numba.njit)  # its stubs do not know _nrt


def compiled(function: F) -> F:
    """Compile `function` at its first call. It must not allocate: reference counting is off, which
    doubles the speed."""
    return cast(F, _njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function))


def inlined(function: F) -> F:
    """As `compiled`, but callers take the source of the function in; from Python it can be called
    all the same."""
    return cast(
        F, _njit(cache=True, nogil=True, error_model="numpy", _nrt=False, inline="always")(function)
    )


# To numba these are the numpy types; to the type checker they give plain ints.
U = cast(
    Callable[[Any], int], np.uint64
)  # array index: unsigned, so that no code is spent on negative indices
i64 = cast(
    Callable[[Any], int], np.int64
)  # also keeps numba from compiling once more for each literal argument


def _intrinsic(function: Callable[..., Any]) -> Callable[[int], int]:
    """Numba inserts the machine instruction; callers see a function of one int."""
    return cast(Callable[[int], int], intrinsic(function))


@_intrinsic
def lowest_bit(typingctx: Any, mask: Any) -> Any:
    """Index of the lowest set bit of a non-zero int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], numba.core.cgutils.true_bit)

    return numba.int64(numba.int64), codegen
