"""The templates: escaping, links, and how numbers, times and names are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.templating import Jinja2Templates

from ringrift.events.facts import EvaluationScored
from ringrift.insight.describe import short
from ringrift.insight.elo import elo_label, elo_text, unrated_note

TEXT_CHARS_MAX = 600
"""of one value on a page"""
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
"""categories of characters that are not seen, or that change how others are seen"""
_DIGEST = re.compile(r"[0-9a-f]{64}")
HERE = Path(__file__).parent


def safe(text: str, most: int = TEXT_CHARS_MAX) -> str:
    """Return a text with invisible characters as escapes, cut after `most` characters."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    if text.isprintable():
        return text
    return "".join(
        f"\\u{ord(one):04x}" if unicodedata.category(one) in _HIDDEN and one != "\n" else one
        for one in text
    )


def _finished(value: Any) -> Any:
    """What is shown of a value: nothing of None, a safe text of a text."""
    if value is None:
        return ""
    return safe(value) if type(value) is str else value


def digest(value: str | None) -> str:
    """Return the first digits of a digest; other names as they are."""
    return short(value) if value and _DIGEST.fullmatch(value) else value or ""


def minus(text: str) -> str:
    """Return the text of numbers with signs of minus in place of hyphens."""
    return text.replace("-", "\u2212")


def signed(value: float | None, decimals: int = 0) -> str:
    """Return a number with its sign."""
    return "" if value is None else minus(f"{value:+.{decimals}f}")


def fixed(value: float | None, decimals: int = 2) -> str:
    """Return a number with some decimals."""
    return "" if value is None else minus(f"{value:,.{decimals}f}")


def whole(value: float | None) -> str:
    """Return a number without decimals, with separators of thousands."""
    return fixed(value, 0)


def percent(value: float | None, decimals: int = 0) -> str:
    """Return a share as a percentage."""
    return "" if value is None else f"{value:.{decimals}%}".replace("%", "\u2009%")


def duration(seconds: float | None) -> str:
    """Return a length of time in at most two units, such as `3 min 20 s`."""
    if seconds is None:
        return ""
    rest = max(0, round(seconds))
    parts: list[str] = []
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def mean_score(scored: EvaluationScored) -> float:
    """Return the candidate's mean score over the starts of a ticket."""
    starts = sum(count for _, count in scored.scores)
    return sum(score * count for score, count in scored.scores) / starts


def moment(time: datetime | None) -> Markup:
    """Return a time as an element that the script shows as an age."""
    if time is None:
        return Markup()
    utc = time.astimezone(UTC)
    text = Markup('<time datetime="{}">{}</time>')
    return text.format(utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M:%S}")


@pass_context
def link(context: Context, path: str) -> str:
    """Return the address of a page, at the sequence of the page that is being looked at."""
    at = context.get("at")
    return f"/at/{at}{quote(path, safe='/?=&:#')}" if at else quote(path, safe="/?=&:#")


@pass_context
def position(context: Context, stream: str, seq: int) -> Markup:
    """Return a link to an event or a game by its position; a game is the same at any time."""
    page = link(context, f"/events/{seq}") if stream == "EVENTS" else f"/games/{seq}"
    text = Markup('<a class="position" href="{}">{}/{}</a>')
    return text.format(page, stream, seq)


def place(position: str | None) -> tuple[str, int] | None:
    """Return stream and sequence of a position such as `EVENTS/12`; None if it is none."""
    stream, _, seq = (position or "").partition("/")
    return (stream, int(seq)) if stream and seq.isdecimal() and len(seq) < 19 else None


def _values(request: Request) -> dict[str, Any]:
    """What every template may use."""
    state, at = request.app.state, request.path_params.get("at")
    path = request.url.path.removeprefix(f"/at/{at}") or "/"
    return {
        "at": int(at) if at is not None else None,
        "path": path,
        "query": request.url.query,
        "view": state.view,
        "operator": state.guard.is_operator(request),
        "where": state.where,
        "now": datetime.now(UTC),
        "menu": state.menu,
    }


def _environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        finalize=_finished,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts = (digest, signed, fixed, whole, percent, duration, moment, mean_score, place)
    functions: tuple[Callable[..., Any], ...] = (*texts, elo_label, unrated_note)
    found.filters.update({one.__name__: one for one in functions})
    found.filters["elo"] = lambda rating: minus(elo_text(rating))
    found.globals.update(link=link, position=position, escape=escape)
    return found


TEMPLATES = Jinja2Templates(env=_environment(), context_processors=[_values])
