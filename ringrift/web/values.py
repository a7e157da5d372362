"""Values of facts on a page: digests, positions, games and nodes are links."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from markupsafe import Markup

from ringrift.events import Fact
from ringrift.insight.describe import important
from ringrift.web.fold import Fold
from ringrift.web.rendering import digest, minus, safe

ITEMS_SHOWN_MAX = 40
DEPTH_MAX = 6
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAYER = re.compile(r"([0-9a-f]{12}):[a-z]")
_POSITION = re.compile(r"(EVENTS|GAMES)/\d{1,18}")
PAGES = {"node": "/fleet#node-{}", "game": "/games/{}"}
"""page of a field's value, by the name of the field"""


class Values:
    """Writes values with links into the pages that show a fold; `link` completes an address."""

    def __init__(self, fold: Fold, link: Callable[[str], str]) -> None:
        self.fold, self.link = fold, link

    def rows(self, data: dict[str, Any]) -> Iterator[tuple[str, Markup]]:
        """Yield the name and the text of each field."""
        for name, value in data.items():
            yield name, self.shown(value, name)

    def line(self, event: Fact) -> Markup:
        """Return the important fields as `name=value name=value`."""
        pairs = (
            Markup("{}={}").format(name, self._text(text, name)) for name, text in important(event)
        )
        return Markup(" ").join(pairs)

    def shown(self, value: Any, name: str = "", depth: int = 0) -> Markup:
        """Return a value of JSON as text."""
        match value:
            case None:
                return Markup('<span class="soft">–</span>')
            case bool():
                return Markup("yes" if value else "no")
            case float():
                return Markup.escape(minus(f"{value:.6g}"))
            case str():
                return self._text(value, name)
            case dict() | list() | tuple() if depth >= DEPTH_MAX:
                return Markup("…")
            case dict():
                row = Markup("<dt>{}</dt><dd>{}</dd>")
                rows = [
                    row.format(safe(key, 100), self.shown(item, key, depth + 1))
                    for key, item in list(value.items())[:ITEMS_SHOWN_MAX]
                ]
                return Markup('<dl class="pairs small">{}</dl>').format(Markup().join(rows))
            case list() | tuple() if value and all(isinstance(item, dict) for item in value):
                return self._table(value, depth)
            case list() | tuple():
                items = [self.shown(item, name, depth + 1) for item in value[:ITEMS_SHOWN_MAX]]
                if len(value) > ITEMS_SHOWN_MAX:
                    items.append(Markup("… {} in all").format(f"{len(value):,}"))
                return Markup(", ").join(items) or Markup('<span class="soft">none</span>')
        return Markup.escape(value)

    def _table(self, rows: Sequence[dict[str, Any]], depth: int) -> Markup:
        """Rows with the same fields."""
        names = list(dict.fromkeys(name for row in rows[:ITEMS_SHOWN_MAX] for name in row))
        head = Markup().join(Markup("<th>{}</th>").format(_words(name)) for name in names)
        body = Markup()
        for row in rows[:ITEMS_SHOWN_MAX]:
            cells = (self.shown(row.get(name), name, depth + 1) for name in names)
            marked = Markup().join(Markup("<td>{}</td>").format(cell) for cell in cells)
            body += Markup("<tr>{}</tr>").format(marked)
        more = f"{len(rows):,} in all" if len(rows) > ITEMS_SHOWN_MAX else ""
        whole = '<div class="scroll"><table class="small"><tr>{}</tr>{}</table>{}</div>'
        return Markup(whole).format(head, body, more)

    def _text(self, text: str, name: str) -> Markup:
        page = self._page(text, name)
        short = digest(text)
        if page is None:
            plain = Markup('<span class="digest" title="{}">{}</span>').format(text, short)
            return plain if short != text else Markup.escape(safe(text))
        look = "digest" if short != text else "value"
        anchor = Markup('<a class="{}" title="{}" href="{}">{}</a>')
        return anchor.format(look, safe(text, 100), self.link(page), safe(short, 200))

    def _page(self, text: str, name: str) -> str | None:
        player = _PLAYER.match(text)
        if network := self.fold.network(player[1] if player else text):
            return f"/networks/{network.config}/{network.model}"
        if _POSITION.fullmatch(text):
            stream, _, seq = text.partition("/")
            return f"/events/{seq}" if stream == "EVENTS" else f"/events/GAMES/{seq}"
        return PAGES[name].format(text) if name in PAGES and text.isascii() and text else None


def _words(name: str) -> str:
    return safe(name.replace("_", " "), 60)
