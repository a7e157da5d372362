"""How compiled code is built: numba, cached on disk, without reference counting.

Numba recompiles a function when its own file changes, but not when a file it calls into does. So
each cache folder is named by a digest of all sources that its functions may depend on: stale
machine code is never loaded.
A cache that is damaged, full or not writable costs time only.
"""

import fcntl
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final, TypeVar, cast

import numba
import numpy as np
from numba.core import caching, event
from numba.extending import intrinsic

from ringrift.rules.cache import cache_folder, digest

DIGEST_BYTES: Final = 32
LOCK_WAIT_SECONDS: Final = 120.0
"""for a process that compiles, which takes up to 30 s on an idle machine; one that is frozen or
hangs keeps its lock and would stop all others"""
LOCK_POLL_SECONDS: Final = 0.1

F = TypeVar("F", bound=Callable[..., Any])

_config = cast(Any, numba.config)  # numba fills this module at run time
_njit = cast(Any, numba.njit)  # its stubs do not know _nrt
_FunctionCache: Any = caching.FunctionCache  # without annotations, as the next
_IndexDataCacheFile: Any = caching.IndexDataCacheFile


class _Files(_IndexDataCacheFile):  # type: ignore[misc]
    """The files of one function in the cache. Damaged ones count as missing: a disk was full, power
    failed, or another program wrote there."""

    def _load_index(self) -> dict[Any, str]:
        try:
            return cast(dict[Any, str], super()._load_index())
        except Exception:  # noqa: BLE001  unpickling what was torn raises anything
            return {}

    def _dump(self, value: object) -> bytes:
        """The bytes of a file, with a digest behind them, where pickle ignores it."""
        data: bytes = super()._dump(value)
        return data + sha256(data).digest()

    def _load_data(self, name: str) -> Any:
        """The compiled code in a file. Raises OSError, after which it is compiled again."""
        stored = Path(self._data_path(name)).read_bytes()
        data, digest = stored[:-DIGEST_BYTES], stored[-DIGEST_BYTES:]
        if sha256(data).digest() != digest:
            raise OSError(f"{name} is damaged")
        return pickle.loads(data)


class _Cache(_FunctionCache):  # type: ignore[misc]
    """The cache of one function. Code that cannot be stored is compiled by every process."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        locator = self._impl.locator
        self._cache_file = _Files(
            locator.get_cache_path(), self._impl.filename_base, locator.get_source_stamp()
        )

    def save_overload(self, signature: Any, data: Any) -> None:
        try:
            super().save_overload(signature, data)
        except OSError as error:
            _say_uncached(str(error))


class Compiler:
    """Compiles functions into one cache folder, or, without a folder, for this process only."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder if folder and _is_writable(folder) else None

    def child(self, name: str, sources: Iterable[Path]) -> "Compiler":
        """Return a compiler with a folder below this one, which also depends on `sources`."""
        return Compiler(self.folder and self.folder / f"{name}-{digest(sources)}")

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
        decorate = _njit(nogil=True, error_model="numpy", _nrt=False, **options)
        dispatcher = decorate(function)
        if self.folder is not None:
            # numba reads the folder when it makes the cache
            outer, _config.CACHE_DIR = _config.CACHE_DIR, str(self.folder)
            try:
                dispatcher._cache = _Cache(function)
            finally:
                _config.CACHE_DIR = outer
        return cast(F, dispatcher)

    @contextmanager
    def loading(self, what: str, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[None]:
        """Hold a lock on the cache while the context calls compiled code for the first time.

        So one process compiles and the others find the result in the cache. After `wait_seconds`
        a process compiles without the lock, which costs time only. If anything has to be compiled,
        that is reported on standard error."""
        with ExitStack() as stack:
            # not writable: nothing will be cached either, so waiting would gain nothing
            with suppress(OSError):
                if self.folder is not None:
                    lock = stack.enter_context((self.folder / "lock").open("w"))
                    _acquire(lock, wait_seconds)
            stack.enter_context(event.install_listener("numba:compile", _Announcement(what)))
            if self.folder is None:
                _say_uncached("no folder for it can be written")
            yield


def _acquire(lock: IO[str], wait_seconds: float) -> None:
    """Lock a file. Raises OSError if another process holds the lock for longer than that."""
    end = time.monotonic() + wait_seconds
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise
            time.sleep(LOCK_POLL_SECONDS)


class _Announcement(event.Listener):
    def __init__(self, what: str) -> None:
        self._text = f"ringrift: compiling {what}, once for this version (up to 30 s) ..."

    def on_start(self, _: object) -> None:
        if self._text:
            print(self._text, file=sys.stderr, flush=True)
        self._text = ""

    def on_end(self, _: object) -> None:
        """Numba asks for this method."""


def _is_writable(folder: Path) -> bool:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return True
    return False


@cache
def _say_uncached(reason: str) -> None:
    """Report once that compiled code is lost with this process."""
    remedy = "set NUMBA_CACHE_DIR to a folder with 100 MB of room"
    text = f"ringrift: compiled code is not cached ({reason}), which delays every start; {remedy}"
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


RULES: Final = Compiler(cache_folder())
compiled, inlined = RULES.compiled, RULES.inlined

if RULES.folder is not None:
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
