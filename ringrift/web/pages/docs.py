"""Docs of this installation: the rules, and the reference of the program that runs."""

import asyncio
import re
import sysconfig
from collections.abc import Callable
from functools import cache, lru_cache, partial
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ringrift.insight import reference, rights
from ringrift.web.pages import shown, view_of
from ringrift.web.rendering import HERE

menu = "/docs", "Docs"
FOLDERS = (HERE.parents[1] / "docs", Path(sysconfig.get_path("data")) / "share/ringrift/docs")
"""In the repository, and where a wheel installs them."""
FILES = {
    "rules_with_pictures": "The rules, with pictures",
    "rules": "The rules, exactly",
    "notation": "Notation",
    "glossary": "Glossary",
}
Write = Callable[..., str]
WRITTEN: dict[str, tuple[str, Write]] = {
    "settings": ("Settings, with their reasons", reference.settings),
    "events": ("Events, who writes and who reads them", reference.events),
    "processes": ("Processes and deciders", reference.processes),
    "metrics": ("Metrics", reference.metrics),
    "rights": ("Rights of roles on the servers of a cluster", rights.page),
}
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Pictures of ours carry their own styles, and nothing else."""
_LINK = re.compile(r'(<a href=")([\w/]+)\.md(#[^"]*)?"')
_HEADING = re.compile(r"<(h[1-4])>(.*?)</\1>")


def folder() -> Path:
    """Where the pages are. Raises HTTPException."""
    for found in FOLDERS:
        if (found / "rules.md").is_file():
            return found
    raise HTTPException(404, f"the pages are not installed: {FOLDERS[1]} is missing")


@lru_cache(maxsize=32)
def rendered(text: str) -> Markup:
    """Return a page of ours as HTML, with anchors, and links to pages of this site."""
    found = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    found = _LINK.sub(lambda part: f'{part[1]}/docs/{part[2]}{part[3] or ""}"', found)
    found = found.replace('style="text-align:right"', 'class="num"')
    found = found.replace('src="pictures/', 'src="/docs/pictures/')
    found = found.replace("<table>", '<div class="table" tabindex="0"><table>')
    return Markup(_HEADING.sub(_anchored, found.replace("</table>", "</table></div>")))


def _anchored(heading: re.Match[str]) -> str:
    plain = re.sub(r"<[^>]*>|[^\w\s-]", "", heading[2].lower())
    name = re.sub(r"[-\s]+", "-", plain.strip())
    return f'<{heading[1]} id="{name}">{heading[2]}</{heading[1]}>'


@cache
def _text(write: Write) -> str:
    return write()


def written(request: Request) -> dict[str, tuple[str, Write]]:
    """The pages that are written from the code: settings with the values in force, once some are;
    commands only where the command line runs."""
    commands: Write | None = request.app.state.commands
    pages = WRITTEN | ({"commands": ("Commands", commands)} if commands else {})
    found: dict[str, tuple[str, Write]]
    found = {name: (title, partial(_text, write)) for name, (title, write) in pages.items()}
    if (in_force := view_of(request).fold.in_force).settings_version:
        title, write = WRITTEN["settings"]
        found["settings"] = title, partial(write, in_force.settings)
    return found


async def contents(request: Request) -> Response:
    """List the pages."""
    pages = FILES | {name: title for name, (title, _) in written(request).items()}
    return shown(request, "docs.html", title="Docs of this installation", pages=pages, body=None)


async def page(request: Request) -> Response:
    """Show one page."""
    name, others = request.path_params["name"], written(request)
    if name in others:
        title, write = others[name]
        body = await asyncio.to_thread(lambda: rendered(write()))
    elif name in FILES:
        title, body = FILES[name], rendered((folder() / f"{name}.md").read_text())
    else:
        raise HTTPException(404, f"there is no page {name!r}: see the list under /docs")
    return shown(request, "docs.html", title=title, pages={}, body=body)


async def example(request: Request) -> Response:
    """Send the record that the page of the notation begins with."""
    return FileResponse(folder() / "game.txt", media_type="text/plain")


async def picture(request: Request) -> Response:
    """Send a picture of the rules."""
    found = folder() / "pictures" / f"{request.path_params['name']}.svg"
    if not re.fullmatch(r"\w+", found.stem) or not found.is_file():
        raise HTTPException(404, "there is no such picture")
    headers = {"content-security-policy": PICTURE_POLICY}
    return FileResponse(found, media_type="image/svg+xml", headers=headers)


routes = [
    Route("/docs", contents),
    Route("/docs/game.txt", example),
    Route("/docs/pictures/{name}.svg", picture),
    Route("/docs/{name}", page),
]
