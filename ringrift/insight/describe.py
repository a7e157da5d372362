"""Short texts for people: the important fields of an event in one line, values, tables; digests of
networks, shortened, and completed from their first digits."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.table import Table

from ringrift.errors import CommandError
from ringrift.events import Fact, facts, type_of
from ringrift.events.visible import visible

TEXT_MAX = 60
LINE_MAX = 400
"""characters of a reason in a line"""
ITEMS_MAX = 3
"""Items of a list that are shown."""
DIGITS_SHOWN = 12
"""Of a digest; as many as the name of a participant has."""
DIGITS_MIN = 6
"""Fewer digits are not searched for in the log, or taken for a file."""
NEWEST_SHOWN = 8
"""Digests that are suggested instead of one that does not exist."""
_LOSS = "loss validation_loss"
_MATCH = "generation purpose round candidate opponent"
SHOWN: dict[type[Fact], str] = {
    facts.GameCompleted: "game origin plies winner reason",
    facts.SettingsChanged: "version why",
    facts.SelfplayPlanned: "generation games simulations model",
    facts.SelfplayFinished: "generation ticket games plies play_seconds",
    facts.ShardExported: "index first_seq last_seq games samples rejected digest",
    facts.TrainingRequested: "generation arm architecture shards parent others within reason",
    facts.TrainingProgressed: f"generation step steps {_LOSS} samples_per_second",
    facts.TrainingFinished: f"generation model steps {_LOSS} train_seconds",
    facts.ModelRegistered: "generation model architecture parameters serves",
    facts.ModelDerived: "model architecture parents method",
    facts.ModelAdopted: "model origin architecture why",
    facts.ExperimentStarted: "hypothesis a b pairs starts",
    facts.ExperimentEnded: "experiment verdict why",
    facts.EvaluationRequested: f"{_MATCH} starts",
    facts.EvaluationScored: f"{_MATCH} wins games",
    facts.EvaluationRecounted: f"{_MATCH} wins games",
    facts.RatingsUpdated: "games anchor ratings",
    facts.ModelPromoted: "generation model why",
    facts.PromotionRejected: "generation model why",
}
"""Important fields by event type; types that are not listed show all their fields."""


def important(event: Fact) -> Iterator[tuple[str, str]]:
    """Yield name and text of the important fields, without the scope and those that are None or
    empty."""
    scope = type_of(event).scope
    names = SHOWN[type(event)].split() if type(event) in SHOWN else event.__struct_fields__
    for name in names:
        value = getattr(event, name)
        if value not in (None, (), {}) and name != scope:
            yield name, field_text(value)


def fields_line(event: Fact) -> str:
    """Return the important fields as `name=value name=value`."""
    return " ".join(f"{name}={value}" for name, value in important(event))


def field_text(value: Any) -> str:
    """Return a value as a short text."""
    match value:
        case bool():
            return "yes" if value else "no"
        case msgspec.UNSET:
            return "nothing"
        case float():
            return f"{value:.4g}"
        case str() if len(value) == 64 and set(value) <= set("0123456789abcdef"):
            return short(value)
        case str():
            text = one_line(value, TEXT_MAX)
            return f'"{text}"' if " " in text else text
        case facts.Seat():
            return value.participant
        case facts.Rating():
            return f"{value.participant}:{value.elo:+.0f}±{value.elo_95_half_width:.0f}"
        case facts.Effort():
            spent = f"{value.nodes:.0f} nodes, depth {value.depth:.1f}"
            return f"{value.participant}: {spent}, {value.seconds:.2g} s a move"
        case bytes():
            return f"{len(value)}B"
        case dict():
            pairs = (f"{name}: {field_text(item)}" for name, item in value.items())
            return f"{{{one_line(', '.join(pairs), TEXT_MAX)}}}"
        case tuple() | list():
            items = ", ".join(map(field_text, value[:ITEMS_MAX]))
            more = f", … {len(value)} in all" if len(value) > ITEMS_MAX else ""
            return f"[{items}{more}]"
        case Struct():
            return field_text(msgspec.json.encode(value).decode())
    return str(value)


def one_line(text: str, most: int = LINE_MAX) -> str:
    """Return a text that anybody may have written in at most `most` characters, with line breaks
    and control characters as escapes."""
    shown = visible(text[: most + 1])
    return shown if len(text) <= most and len(shown) <= most else shown[: most - 1] + "…"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun, such as `1 game` or `2,000 games`; `nouns` is an irregular
    plural."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def table(
    columns: Sequence[str], rows: Iterable[Iterable[Any]], title: str = "", *, plain: bool = False
) -> Table:
    """Return a table. Columns whose names start with `>` are aligned right; `plain` has no lines.

    Integers get separators of thousands, None becomes an empty cell."""
    found = Table(title=title or None, title_justify="left", pad_edge=False)
    if plain:
        found.box = None
        found.show_header = any(columns)
    for name in columns:
        right = name.startswith(">")
        found.add_column(name.lstrip(">"), justify="right" if right else "left", no_wrap=right)
    for row in rows:
        found.add_row(*map(_cell, row))
    return found


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


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
