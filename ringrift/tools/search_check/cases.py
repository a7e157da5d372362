"""Files of reference cases for the search.

There are three formats: two-player tables (exact actions and visits), max-n tables for three and
four players, and the equal-Q invariant (the improved policy must equal the prior).
"""

from pathlib import Path

import msgspec

from ringrift.errors import RingRiftError


class CaseFileError(RingRiftError):
    """A file of cases cannot be used; the text names the file, the place and the remedy."""


class Transform(
    msgspec.Struct, frozen=True, rename={"rescale": "rescale_values", "mixed": "use_mixed_value"}
):
    """The transform of Q values, with the names of mctx for fields of the search's `Settings`."""

    value_scale: float
    maxvisit_init: float
    rescale: bool
    mixed: bool


class TwoPlayerGame(msgspec.Struct, frozen=True):
    """A table of S states and A actions with values seen by the player to move."""

    child: list[list[int]]
    reward: list[list[float]]
    discount: list[list[float]]
    logits: list[list[float]]
    value: list[float]


class MaxnGame(msgspec.Struct, frozen=True):
    """A table of S states and A actions with a value for each of P players."""

    child: list[list[int]]
    logits: list[list[float]]
    mover: list[int]
    terminal: list[bool]
    values: list[list[float]]
    result: list[list[float]]


class Expected(msgspec.Struct, frozen=True):
    """Reference output; absent fields are not compared. `root_value` is the mover's value; the q of
    an unvisited action is null."""

    action_weights: list[float]
    action: int | None = None
    visit_counts: list[int] | None = None
    root_value: float | None = None
    root_values: list[float] | None = None
    q_values: list[float | None] | None = None
    considered_visit_sequence: list[int] | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """The common part of all cases; `gumbel` is the noise of each root action."""

    id: str
    root_state: int
    gumbel: list[float]
    num_simulations: int
    max_num_considered_actions: int
    expected: Expected


class TwoPlayerCase(Case, frozen=True, kw_only=True):
    """One search of a two-player table; `invalid` marks root actions that are illegal."""

    game: TwoPlayerGame
    qtransform: Transform
    invalid: list[int] | None = None
    max_depth: int | None = None


class MaxnCase(Case, frozen=True, kw_only=True):
    """One search of a table for P players, with the default settings."""

    players: int
    game: MaxnGame


class TwoPlayerFile(
    msgspec.Struct, frozen=True, tag_field="format", tag="ringrift-gumbel-vectors/1"
):
    """Two-player tables."""

    cases: list[TwoPlayerCase]


class EqualQFile(msgspec.Struct, frozen=True, tag_field="format", tag="ringrift-gumbel-equal-q/1"):
    """Two-player tables in which all actions have the same value."""

    cases: list[TwoPlayerCase]


class MaxnFile(
    msgspec.Struct, frozen=True, tag_field="format", tag="ringrift-gumbel-maxn-vectors/1"
):
    """Tables for three and four players."""

    cases: list[MaxnCase]


CaseFile = TwoPlayerFile | EqualQFile | MaxnFile


def read_cases(path: Path) -> CaseFile:
    """The cases of a file. Raises CaseFileError."""
    try:
        document: CaseFile = msgspec.json.decode(path.read_bytes(), type=CaseFile)
    except OSError as error:
        reason = f"{error.strerror}; give an existing file of cases"
        raise CaseFileError(f"cannot read {path}: {reason}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = f"{error}; fetch it again or check its format"
        raise CaseFileError(f"{path} is not a file of search cases: {reason}") from error
    return document
