"""How compiled code is built: numba, cached on disk, without reference counting.

Numba recompiles a function when its own file changes, but not when a file it calls into does. So
each cache folder is named by a digest of all sources that its functions may depend on: stale
machine code is never loaded.
"""

import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba.core import event
from numba.extending import intrinsic

from ringrift.rules.cache import cache_folder, digest

F = TypeVar("F", bound=Callable[..., Any])

_config = cast(Any, numba.config)  # numba fills this module at run time
_njit = cast(Any, numba.njit)  # its stubs do not know _nrt


class Compiler:
    """Compiles functions into one cache folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def child(self, name: str, sources: Iterable[Path]) -> "Compiler":
        """Return a compiler with a folder below this one, which also depends on `sources`."""
        return Compiler(self.folder / f"{name}-{digest(sources)}")

    def compiled(self, function: F) -> F:
        """Compile `function` at its first call, without the GIL.

        Reference counting is off, which doubles the speed, so it must not allocate."""
        return self._decorated(function)

    def inlined(self, function: F) -> F:
        """As `compiled`, but compiled callers take in the source of the function.

        Every compiled function optimizes all that it calls again, so a chain of five calls would
        compile the last one five times. Inlining what is tiny or has one caller avoids that."""
        return self._decorated(function, inline="always")

    def _decorated(self, function: F, **options: str) -> F:
        # numba reads the folder when it decorates a function
        outer, _config.CACHE_DIR = _config.CACHE_DIR, str(self.folder)
        try:
            decorate = _njit(cache=True, nogil=True, error_model="numpy", _nrt=False, **options)
            return cast(F, decorate(function))
        finally:
            _config.CACHE_DIR = outer

    @contextmanager
    def loading(self, what: str) -> Iterator[None]:
        """Hold a lock on the cache while the context calls compiled code for the first time.

        So one process compiles and the others find the result in the cache. If anything has to be
        compiled, that is reported on standard error."""
        with ExitStack() as stack:
            # not writable: nothing will be cached either, so waiting would gain nothing
            with suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((self.folder / "lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            stack.enter_context(event.install_listener("numba:compile", _Announcement(what)))
            yield


class _Announcement(event.Listener):
    def __init__(self, what: str) -> None:
        self._text = f"ringrift: compiling {what}, once for this version (up to 30 s) ..."

    def on_start(self, _: object) -> None:
        if self._text:
            print(self._text, file=sys.stderr, flush=True)
        self._text = ""

    def on_end(self, _: object) -> None:
        """Numba asks for this method."""


RULES: Final = Compiler(cache_folder())
compiled, inlined = RULES.compiled, RULES.inlined

# The environment variable also reaches child processes.
_config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = str(RULES.folder)

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
