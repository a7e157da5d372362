"""The lines that the analysis engine reads and writes: JSON, in the shape of KataGo's engine."""

import inspect
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ringrift.analysis.positions import MoveInfo, RootInfo

MOVES_MAX: Final = 10_000
TURNS_MAX: Final = 10_000
Id = Annotated[str, Meta(min_length=1, max_length=200)]
Word = Annotated[str, Meta(max_length=4096)]


class Query(Struct, frozen=True, kw_only=True, rename="camel"):
    """Analyse positions of a game.

    The game begins at `position` (the text of a position), or at the start of `config`, and
    continues with `moves`, tokens of the notation; forced plies may be left out. `analyze_turns`
    are the numbers of moves after which to analyse, by default after all of them."""

    id: Id
    """appears in every answer"""
    config: Word | None = None
    """board and seats, such as `hex8_2p`; needed without a `position`"""
    position: Word | None = None
    pie: bool = False
    """whether the game has the pie rule (two seats)"""
    moves: Annotated[tuple[Word, ...], Meta(max_length=MOVES_MAX)] = ()
    analyze_turns: Annotated[tuple[int, ...], Meta(max_length=TURNS_MAX)] | None = None
    harness: Word = "gumbel"
    """how to search"""
    model: Word | None = None
    """`current`, a digest or a file; by default the current network if there is one, else the
    handcrafted heuristic"""
    simulations: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    """budget of a position"""
    considered: Annotated[int, Meta(ge=1, le=10_000)] = 16
    """moves considered at the root of a Gumbel search"""
    allow_moves: Annotated[tuple[Word, ...], Meta(max_length=MOVES_MAX)] = ()
    """consider only these moves; the budget is divided among the positions after them"""
    include_policy: bool = False
    """list all legal moves, not only those that were searched"""
    include_pv: Annotated[bool, Meta()] = msgspec.field(default=True, name="includePV")
    """give the principal variations"""
    report_during_search_every: Annotated[float, Meta(gt=0)] | None = None
    """also answer during the search, at most once in so many seconds"""
    priority: Annotated[int, Meta(ge=-(2**31), lt=2**31)] = 0
    """queries of higher priority are searched first"""


class Action(Struct, frozen=True, kw_only=True, rename="camel"):
    """A request that is no query.

    `terminate` ends the query `terminate_id`, or only its `turn_numbers`; `terminate_all` ends all,
    or only these turns of all."""

    id: Id
    action: Literal["query_version", "query_models", "terminate", "terminate_all", "clear_cache"]
    terminate_id: Id | None = None
    turn_numbers: Annotated[tuple[int, ...], Meta(max_length=TURNS_MAX)] | None = None


class Answer(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What was found in one position.

    `forced` are forced plies that were played before the search. `no_results` is true, and the rest
    absent, if the query was terminated before anything was found."""

    id: str
    turn_number: int
    is_during_search: bool
    no_results: bool = False
    participant: str | None = None
    """network, harness and budget of the search"""
    forced: tuple[str, ...] = ()
    root_info: RootInfo | None = None
    move_infos: tuple[MoveInfo, ...] | None = None


class Complaint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error, after which the query has no answer, or a warning, after which it has one.

    `id` is absent where the line has none that can be read."""

    error: str | None = None
    warning: str | None = None
    field: str | None = None
    id: str | None = None


class Network(Struct, frozen=True, kw_only=True):
    """A network that can be named as `model`: the current one of a config."""

    config: str
    model: str


class Done(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer to an action, with its fields and what it asked for."""

    id: str
    action: str
    version: str | None = None
    rules_version: int | None = None
    models: tuple[Network, ...] | None = None
    terminate_id: str | None = None
    turn_numbers: tuple[int, ...] | None = None


def schemas() -> dict[str, str]:
    """Return the JSON Schemas of what the engine reads and writes, by the paths of their files."""
    return {
        "schemas/engine/query.json": _schema("A line that the engine reads", Query, Action),
        "schemas/engine/answer.json": _schema(
            "A line that the engine writes", Answer, Done, Complaint
        ),
    }


def _schema(title: str, *kinds: type[Struct]) -> str:
    schemas, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    for part in parts.values():  # msgspec before 0.23 keeps the indentation of docstrings
        part["description"] = inspect.cleandoc(part["description"])
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "anyOf": list(schemas),
        "$defs": parts,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
