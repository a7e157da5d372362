"""One subject a module: its routes, its handlers, and one template for each page.

How to write a page
-------------------
1. `ringrift/web/pages/<subject>.py` has the handlers and the list `routes` (`starlette.routing`).
   A handler is `async def page(request) -> Response` and ends with `return shown(request,
   "<subject>.html", title="...", ...)`. Add the module to `ringrift.web.app.PAGES`; with
   `menu = "/games", "Games"` in it, every page links to it.
2. A page that shows nothing but folds of `EVENTS` belongs into the list `past_routes` instead: it
   is also served under `/at/{seq}/...`. Its handler reads `await fold_of(request)`, never the view.
   `request.app.state.view` is the `View`, `request.app.state.log` the log.
3. The template extends `layout.html` and fills the block `main`. Values are escaped, control
   characters are shown as text, long texts are cut. Links are written `{{ link("/networks") }}`,
   positions `{{ position("EVENTS", 12) }}`. There is no inline script or style: the policy forbids
   both. Draw with SVG attributes, and give meaning to classes in `static/style.css`.
4. An element with an `id` and the attribute `data-live` is replaced by its newer self whenever the
   log has grown; without script the page is as it was when it was loaded.
5. A handler that changes something is a POST and begins with `await require_operator(request)`
   (`ringrift.web.guard`). Raise `starlette.exceptions.HTTPException(404, "what is missing")` for
   what does not exist: the text is shown on the error page.
6. What takes long runs in a child process (`ringrift.web.children`): the page is shown at once with
   `waiting=True`, and again when the answer is there.
7. What a page needs beside the view while the application runs is an asynchronous context manager
   `running(app)` of its module, which puts it into `app.state`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ringrift.web.fold import Fold
from ringrift.web.rendering import TEMPLATES
from ringrift.web.view import View

FIELDS_MAX = 100
"""of a form"""


def view_of(request: Request) -> View:
    """Return the view that all pages read."""
    view: View = request.app.state.view
    return view


def at_of(request: Request) -> int | None:
    """Return the sequence at which a page under `/at/{seq}` is shown, else None."""
    seq = request.path_params.get("at")
    return None if seq is None else int(seq)


async def fold_of(request: Request) -> Fold:
    """Return the fold that a page shows: the newest, or the one at its sequence. Raises
    HTTPException for a sequence that is not written yet."""
    view, at = view_of(request), at_of(request)
    if at is None:
        return view.fold
    if not 0 < at <= view.fold.seq:
        raise HTTPException(404, f"EVENTS/{at} is not written: the log ends with {view.fold.seq}")
    return await view.at(at)


def shown(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page. The layout needs `title`."""
    return TEMPLATES.TemplateResponse(request, template, values, status_code=status)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a submitted form, the last of those with the same name. Raises
    HTTPException."""
    try:
        pairs = parse_qsl((await request.body()).decode(), True, max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise HTTPException(400, f"the form cannot be read: {error}") from error
    return dict(pairs)


def number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """Return a whole number of the query, within limits; `default` if it is not given. Raises
    HTTPException for anything else."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > 18:
        raise HTTPException(400, f"{name} must be a whole number; got {text[:40]!r}")
    return min(max(int(text), least), most)
