"""`ringrift search check`: the Gumbel kernel against files of reference cases, in float32 as in
play.

Three kinds of file, told by their `format`: two-player tables (exact actions and visits), max-n
tables for three and four players, and the equal-Q invariant (the improved policy must be the
prior). Tolerances are those the reference states for float32."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ringrift.search.gumbel import DEPTH_UNLIMITED, Settings, considered_visits
from ringrift.tools.search_tables import Outcome, Table, search_table, two_player_table

POLICY_TOLERANCE: Final = 5e-4
POLICY_TOLERANCE_EQUAL_Q: Final = 1e-3
VALUE_TOLERANCE: Final = 1e-4
EXIT_FAILURES: Final = 1
EXIT_BAD_INPUT: Final = 2
CELLS_MAX: Final = 10_000_000
"""Bound of simulations times actions of a case, so that a corrupt number cannot ask for all
memory."""


Scalar = TypeVar("Scalar", bound=np.generic)


class CheckFileError(ValueError):
    """A file of cases cannot be used; the message names the file, the place and the remedy."""


class Transform(
    msgspec.Struct, frozen=True, rename={"rescale": "rescale_values", "mixed": "use_mixed_value"}
):
    """How Q values weigh; the fields of `ringrift.search.gumbel.Settings` under mctx's names."""

    value_scale: float
    maxvisit_init: float
    rescale: bool
    mixed: bool


class TwoPlayerGame(msgspec.Struct, frozen=True):
    """A table of S states and A actions told from the view of the player to move."""

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
    """Reference output; what is absent is not compared. `root_value` is the mover's; a q of null is
    an unvisited action's."""

    action_weights: list[float]
    action: int | None = None
    visit_counts: list[int] | None = None
    root_value: float | None = None
    root_values: list[float] | None = None
    q_values: list[float | None] | None = None
    considered_visit_sequence: list[int] | None = None


class _Case(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    root_state: int
    gumbel: list[float]
    num_simulations: int
    max_num_considered_actions: int
    expected: Expected


class TwoPlayerCase(_Case, frozen=True, kw_only=True):
    """One search of a two-player table; `invalid` marks root actions that are illegal."""

    game: TwoPlayerGame
    qtransform: Transform
    invalid: list[int] | None = None
    max_depth: int | None = None


class MaxnCase(_Case, frozen=True, kw_only=True):
    """One search of a table for P players, with the default settings."""

    players: int
    game: MaxnGame


class _TwoPlayerFile(
    msgspec.Struct, frozen=True, tag_field="format", tag="ringrift-gumbel-vectors/1"
):
    cases: list[TwoPlayerCase]


class _EqualQFile(msgspec.Struct, frozen=True, tag_field="format", tag="ringrift-gumbel-equal-q/1"):
    cases: list[TwoPlayerCase]


class _MaxnFile(
    msgspec.Struct, frozen=True, tag_field="format", tag="ringrift-gumbel-maxn-vectors/1"
):
    cases: list[MaxnCase]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One value of a case that is not as expected."""

    case: str
    what: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.case}: {self.what}\n  expected {self.expected}\n  found    {self.found}"


def search_check_main(files: Sequence[str | Path]) -> int:
    """Run all cases of `files`, print what differs and last `cases=N failures=K`.

    Exit code 0 if N > 0 and K = 0, 1 if a case fails or there is none, 2 if a file cannot be used
    (the others are still run)."""
    cases, failures, unusable = 0, 0, 0
    for file in files:
        try:
            for mismatches in check_file(Path(file)):
                cases += 1
                failures += bool(mismatches)
                for mismatch in mismatches:
                    print(mismatch)
        except CheckFileError as error:
            unusable += 1
            print(f"error: {error}", file=sys.stderr)
    print(f"cases={cases} failures={failures}")
    if unusable:
        return EXIT_BAD_INPUT
    return 0 if cases > 0 and failures == 0 else EXIT_FAILURES


def check_file(path: Path) -> Iterator[list[Mismatch]]:
    """For each case of a file what differs from its reference; empty if all is well. Raises
    `CheckFileError`."""
    document = _read(path)
    policy_tolerance = (
        POLICY_TOLERANCE_EQUAL_Q if isinstance(document, _EqualQFile) else POLICY_TOLERANCE
    )
    for case in document.cases:
        try:
            outcome = _run_two_player(case) if isinstance(case, TwoPlayerCase) else _run_maxn(case)
        except _BadCaseError as error:
            raise CheckFileError(f"{path}, case {case.id}: {error}") from error
        yield list(_compare(case, outcome, policy_tolerance))


def _read(path: Path) -> _TwoPlayerFile | _EqualQFile | _MaxnFile:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_TwoPlayerFile | _EqualQFile | _MaxnFile)
    except OSError as error:
        raise CheckFileError(
            f"cannot read {path}: {error.strerror}; give an existing file of cases"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckFileError(
            f"{path} is no file of search cases: {error}; fetch it again or check its format"
        ) from error


class _BadCaseError(ValueError):
    """What in a case contradicts itself; the caller adds its place."""


def _run_two_player(case: TwoPlayerCase) -> Outcome:
    game = case.game
    child = _array("child", game.child, np.int64, None, None)
    states, actions = child.shape
    table = two_player_table(
        child=child,
        reward=_array("reward", game.reward, np.float32, states, actions),
        discount=_array("discount", game.discount, np.float32, states, actions),
        logits=_array("logits", game.logits, np.float32, states, actions),
        value=_array("value", game.value, np.float32, states),
    )
    invalid = None
    if case.invalid is not None:
        invalid = _array("invalid", case.invalid, np.int64, actions) != 0
        if invalid.all():
            raise _BadCaseError("all actions are invalid; leave at least one")
    transform = case.qtransform
    settings = Settings(
        value_scale=transform.value_scale,
        maxvisit_init=transform.maxvisit_init,
        rescale=transform.rescale,
        mixed=transform.mixed,
        depth_max=DEPTH_UNLIMITED if case.max_depth is None else case.max_depth,
    )
    return _search(case, table, states, settings, invalid)


def _run_maxn(case: MaxnCase) -> Outcome:
    game, seats = case.game, case.players
    if not 2 <= seats <= 4:
        raise _BadCaseError(f"{seats} players; give 2 to 4")
    child = _array("child", game.child, np.int64, None, None)
    states, actions = child.shape
    mover = _array("mover", game.mover, np.int64, states)
    if not ((mover >= 0) & (mover < seats)).all():
        raise _BadCaseError(f"mover beyond 0..{seats - 1}")
    table = Table(
        child=child,
        logits=_array("logits", game.logits, np.float32, states, actions),
        values=_array("values", game.values, np.float32, states, seats),
        mover=mover,
        terminal=_array("terminal", game.terminal, np.bool_, states),
        result=_array("result", game.result, np.float32, states, seats),
        reward=np.zeros((states, actions, seats), np.float32),
        keep=np.ones((states, actions), np.float32),
    )
    return _search(case, table, states, Settings(), None)


def _search(
    case: _Case, table: Table, states: int, settings: Settings, invalid: NDArray[np.bool_] | None
) -> Outcome:
    actions = table.logits.shape[1]
    if not 0 <= case.root_state < states:
        raise _BadCaseError(f"root_state {case.root_state} beyond 0..{states - 1}")
    if case.num_simulations < 1 or case.max_num_considered_actions < 1 or settings.depth_max < 1:
        raise _BadCaseError(
            "num_simulations, max_num_considered_actions and max_depth must be at least 1"
        )
    if case.num_simulations * actions > CELLS_MAX:
        raise _BadCaseError(
            f"{case.num_simulations} simulations of {actions} actions; at most {CELLS_MAX} together"
        )
    return search_table(
        table,
        root=case.root_state,
        noise=_array("gumbel", case.gumbel, np.float32, actions),
        simulations=case.num_simulations,
        considered_max=case.max_num_considered_actions,
        settings=settings,
        invalid=invalid,
    )


def _array(name: str, rows: object, dtype: type[Scalar], *shape: int | None) -> NDArray[Scalar]:
    """`rows` as an array of this shape, None for any length above 0; states in `child` are within
    the table."""
    try:
        array: NDArray[Scalar] = np.array(rows, dtype)
    except (ValueError, OverflowError) as error:
        raise _BadCaseError(f"{name} is no rectangular table of numbers") from error
    fits = array.ndim == len(shape) and all(
        have > 0 and want in (None, have) for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise _BadCaseError(
            f"{name} has shape {array.shape}; expected {tuple('any' if n is None else n for n in shape)}"
        )
    if name == "child" and not 0 <= int(array.min()) <= int(array.max()) < len(array):
        raise _BadCaseError(f"child names a state beyond 0..{len(array) - 1}")
    return array


def _compare(
    case: TwoPlayerCase | MaxnCase, outcome: Outcome, policy_tolerance: float
) -> Iterator[Mismatch]:
    expected = case.expected
    if expected.action is not None and outcome.action != expected.action:
        yield Mismatch(case.id, "action", expected.action, outcome.action)
    if expected.visit_counts is not None and outcome.visits.tolist() != expected.visit_counts:
        yield Mismatch(case.id, "visit_counts", expected.visit_counts, outcome.visits.tolist())
    if not _close(outcome.policy, expected.action_weights, policy_tolerance):
        yield Mismatch(case.id, "action_weights", expected.action_weights, _shown(outcome.policy))
    if (
        expected.root_value is not None
        and abs(outcome.root_values[0] - expected.root_value) > VALUE_TOLERANCE
    ):
        yield Mismatch(
            case.id, "root_value", expected.root_value, _shown(outcome.root_values[:1])[0]
        )
    if expected.root_values is not None and not _close(
        outcome.root_values, expected.root_values, VALUE_TOLERANCE
    ):
        yield Mismatch(case.id, "root_values", expected.root_values, _shown(outcome.root_values))
    if expected.q_values is not None:
        q_values = [np.nan if q is None else q for q in expected.q_values]
        if not _close(outcome.q, q_values, VALUE_TOLERANCE):
            yield Mismatch(case.id, "q_values", expected.q_values, _shown(outcome.q))
    if expected.considered_visit_sequence is not None:
        sequence = considered_visits(_considered(case), case.num_simulations).tolist()
        if sequence != expected.considered_visit_sequence:
            yield Mismatch(
                case.id, "considered_visit_sequence", expected.considered_visit_sequence, sequence
            )


def _considered(case: TwoPlayerCase | MaxnCase) -> int:
    illegal = sum(map(bool, case.invalid or ())) if isinstance(case, TwoPlayerCase) else 0
    return min(case.max_num_considered_actions, len(case.gumbel) - illegal)


def _close(found: NDArray[np.float32], expected: Sequence[float], tolerance: float) -> bool:
    """Equal shapes and no difference above `tolerance`; nan only where nan is expected."""
    return len(found) == len(expected) and bool(
        np.allclose(found, expected, rtol=0.0, atol=tolerance, equal_nan=True)
    )


def _shown(values: NDArray[np.float32]) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]
