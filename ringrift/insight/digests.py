"""Digests of networks: shortened for people, and completed from their first digits."""

from collections.abc import Iterable

from ringrift.errors import CommandError

DIGITS_SHOWN = 12
"""As many as the name of a participant has."""
DIGITS_MIN = 6
"""Fewer are not searched for in the log, or taken for a file."""
NEWEST_SHOWN = 8


def short(digest: str) -> str:
    """Return the first digits of a digest."""
    return digest[:DIGITS_SHOWN]


def shorts(digests: Iterable[str], empty: str = "") -> str:
    """Return several digests, shortened and separated by commas; `empty` if there are none."""
    return ", ".join(map(short, digests)) or empty


def completed(prefix: str, digests: Iterable[str], where: str = "in the log") -> str:
    """Return the only digest that starts with `prefix`. Raises CommandError if there is none, or
    more than one."""
    known = list(digests)
    found = [digest for digest in known if digest.startswith(prefix)]
    if len(found) != 1:
        what = f"{len(found) or 'no'} networks {where} start with {prefix!r}"
        newest = shorts(known[-NEWEST_SHOWN:], "none")
        raise CommandError(f"{what}: give more digits of one; the newest are {newest}")
    return found[0]
