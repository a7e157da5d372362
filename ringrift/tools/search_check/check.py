"""The check of case files: each search must give the action, visits, policy and values of its
case."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ringrift.search.gumbel.selection import DEPTH_UNLIMITED, Settings, considered_visits
from ringrift.tools.search_check.cases import (
    Case,
    CaseFileError,
    EqualQFile,
    MaxnCase,
    TwoPlayerCase,
    read_cases,
)
from ringrift.tools.search_check.tables import Outcome, Table, search_table, two_player_table

POLICY_TOLERANCE = 5e-4
POLICY_TOLERANCE_EQUAL_Q = 1e-3
VALUE_TOLERANCE = 1e-4
"""The tolerances that the reference states for float32."""
CELLS_MAX = 10_000_000
"""Limit of simulations times actions of a case, so that a corrupt number cannot use all memory."""

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A value of a case that differs from the reference."""

    case: str
    what: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.case}: {self.what}\n  expected {self.expected}\n  found    {self.found}"


@dataclass
class Report:
    """The result of a check. `failures` counts cases with a mismatch."""

    cases: int = 0
    failures: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    unusable: list[CaseFileError] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether there were cases and none failed, in files that could all be used."""
        return self.cases > 0 and not self.failures and not self.unusable

    def __str__(self) -> str:
        return f"cases={self.cases} failures={self.failures}"


def check(paths: Sequence[str | Path]) -> Report:
    """Run all cases of all files that can be used."""
    report = Report()
    for path in paths:
        try:
            for mismatches in check_file(Path(path)):
                report.cases += 1
                report.failures += bool(mismatches)
                report.mismatches += mismatches
        except CaseFileError as error:
            report.unusable.append(error)
    return report


def check_file(path: Path) -> Iterator[list[Mismatch]]:
    """The mismatches of each case of a file. Raises CaseFileError."""
    document = read_cases(path)
    equal_q = isinstance(document, EqualQFile)
    policy_tolerance = POLICY_TOLERANCE_EQUAL_Q if equal_q else POLICY_TOLERANCE
    for case in document.cases:
        try:
            outcome = _run_two_player(case) if isinstance(case, TwoPlayerCase) else _run_maxn(case)
        except _CaseError as error:
            raise CaseFileError(f"{path}, case {case.id}: {error}") from error
        yield list(_compare(case, outcome, policy_tolerance))


class _CaseError(ValueError):
    """A case contradicts itself; the caller adds its place."""


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
            raise _CaseError("all actions are invalid; leave at least one")
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
        raise _CaseError(f"{seats} players; give 2 to 4")
    child = _array("child", game.child, np.int64, None, None)
    states, actions = child.shape
    mover = _array("mover", game.mover, np.int64, states)
    if not ((mover >= 0) & (mover < seats)).all():
        raise _CaseError(f"mover outside 0..{seats - 1}")
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
    case: Case, table: Table, states: int, settings: Settings, invalid: NDArray[np.bool_] | None
) -> Outcome:
    actions = table.logits.shape[1]
    if not 0 <= case.root_state < states:
        raise _CaseError(f"root_state {case.root_state} outside 0..{states - 1}")
    if case.num_simulations < 1 or case.max_num_considered_actions < 1 or settings.depth_max < 1:
        raise _CaseError(
            "num_simulations, max_num_considered_actions and max_depth must be at least 1"
        )
    if case.num_simulations * actions > CELLS_MAX:
        raise _CaseError(
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
    """`rows` as an array of this shape, in which None is any length above 0. The states in `child`
    must be within the table."""
    try:
        array: NDArray[Scalar] = np.array(rows, dtype)
    except (ValueError, OverflowError) as error:
        raise _CaseError(f"{name} is not a rectangular table of numbers") from error
    wanted = tuple("any" if length is None else length for length in shape)
    pairs = zip(array.shape, wanted, strict=False)
    if array.ndim != len(wanted) or not all(have and want in ("any", have) for have, want in pairs):
        raise _CaseError(f"{name} has shape {array.shape}; expected {wanted}")
    if name == "child" and not 0 <= int(array.min()) <= int(array.max()) < len(array):
        raise _CaseError(f"child names a state outside 0..{len(array) - 1}")
    return array


def _compare(
    case: TwoPlayerCase | MaxnCase, outcome: Outcome, policy_tolerance: float
) -> Iterator[Mismatch]:
    sequence = considered_visits(_considered(case), case.num_simulations)
    equal = {
        "action": outcome.action,
        "visit_counts": outcome.visits.tolist(),
        "considered_visit_sequence": sequence.tolist(),
    }
    close = {
        "action_weights": (outcome.policy, policy_tolerance),
        "root_value": (outcome.root_values[:1], VALUE_TOLERANCE),
        "root_values": (outcome.root_values, VALUE_TOLERANCE),
        "q_values": (outcome.q, VALUE_TOLERANCE),
    }
    for name, found in equal.items():
        expected = getattr(case.expected, name)
        if expected not in (None, found):
            yield Mismatch(case.id, name, expected, found)
    for name, (values, tolerance) in close.items():
        expected = getattr(case.expected, name)
        if expected is not None and not _close(values, expected, tolerance):
            yield Mismatch(case.id, name, expected, _shown(values))


def _considered(case: TwoPlayerCase | MaxnCase) -> int:
    """The number of root actions that the search considers."""
    invalid = case.invalid or [] if isinstance(case, TwoPlayerCase) else []
    legal = len(case.gumbel) - sum(map(bool, invalid))
    return min(case.max_num_considered_actions, legal)


def _close(found: NDArray[np.float32], expected: object, tolerance: float) -> bool:
    """Whether the lengths are equal and no difference exceeds `tolerance`; null stands for nan."""
    wanted = np.atleast_1d(np.array(expected, np.float64))
    if len(found) != len(wanted):
        return False
    return bool(np.allclose(found, wanted, rtol=0.0, atol=tolerance, equal_nan=True))


def _shown(values: NDArray[np.float32]) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]
