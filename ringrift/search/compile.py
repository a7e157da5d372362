"""How search is compiled: as the rules are, with a cache folder that also depends on the sources of
this package.

Numba notices a change of the file a function stands in, but not of the files it calls into; see
`ringrift.rules.compile`."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from ringrift.rules import compile as rules_compile

F = TypeVar("F", bound=Callable[..., Any])

_config = cast(Any, numba.config)  # numba fills this module at run time
_njit = cast(Any, numba.njit)  # its stubs do not know _nrt


def _folder() -> str:
    """Below the folder of the compiled rules, named by a digest of all sources of this package."""
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return str(Path(_config.CACHE_DIR) / f"search-{digest.hexdigest()[:16]}")


FOLDER = _folder()


def compiled(function: F) -> F:
    """Compile `function` at its first call, without reference counting (it must not allocate) and
    without the GIL."""
    outer = _config.CACHE_DIR
    _config.CACHE_DIR = FOLDER
    try:
        return rules_compile.compiled(function)
    finally:
        _config.CACHE_DIR = outer


def inlined(function: F) -> F:
    """Put `function` into its compiled callers. For what calls the rules: each compiled function
    optimizes all it calls anew, so a chain of five calls would compile the rules five times."""
    return cast(F, _njit(inline="always", error_model="numpy", _nrt=False)(function))
