"""What happened, and why: the tail of the log, one event with its causes and effects, and
everything that it rests on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringrift.events import Recorded, UndecodableEvent, type_of
from ringrift.insight.why.causes import BULKY, node_text, why
from ringrift.log import read
from ringrift.log.topology import EVENTS, GAMES
from ringrift.web.fold import Fold
from ringrift.web.pages import at_of, fold_of, number, shown, view_of
from ringrift.web.rendering import place
from ringrift.web.values import Values
from ringrift.web.view import View

menu = "/events", "Events"
PAST = ("/events", "/networks")
"""pages that a link from the past leads to as they were"""
ROWS = 60
SCANNED_MAX = 3000
"""events looked at for a page that filters by node"""
CAUSES_MAX, EFFECTS_MAX, EFFECTS_OF_EFFECT_MAX = 24, 40, 6
EFFECTS_COUNTED_MAX = 1000
WHY_NODES_MAX, WHY_DEPTH_MAX = 400, 8
WHY_SECONDS_MAX = 20.0
_why = asyncio.Semaphore(1)


class Step(NamedTuple):
    """An event of a tree: its level, and effects that are not shown below it."""

    level: int
    recorded: Recorded
    here: bool = False
    more: int = 0


async def events(request: Request) -> Response:
    """Show the newest events, filtered by type, config and node."""
    view, fold = view_of(request), await fold_of(request)
    kind, scope, node = (
        request.query_params.get(name, "")[:100] for name in ("type", "scope", "node")
    )
    before = min(number(request, "before", fold.seq + 1, 1, 10**18), fold.seq + 1)
    found: list[Recorded] = []
    values, scanned = _values(request, fold), before
    seqs = islice(view.index.newest(kind, scope, before), SCANNED_MAX if node else ROWS)
    while len(found) < ROWS and (part := list(islice(seqs, ROWS))):
        scanned = part[-1]
        found += [one for one in await _facts(view, part) if not node or _on(one, node)]
    return shown(
        request,
        "events.html",
        title="Events",
        rows=[(one.event, one.meta, values.line(one.event)) for one in found[:ROWS]],
        types=sorted(filter(None, view.index.types)),
        scopes=sorted(filter(None, view.index.scopes)),
        nodes=sorted({beat.node for beat in view.beats or ()} | set(fold.states["nodes"].nodes)),
        wanted={"type": kind, "scope": scope, "node": node},
        first=before > fold.seq,
        more=found[ROWS - 1].meta.seq if len(found) > ROWS else scanned if scanned > 1 else 0,
    )


def _on(recorded: Recorded, node: str) -> bool:
    """Whether an event was written on a node, or is about it."""
    author = recorded.meta.source.partition("@")[2]
    return node in (author, getattr(recorded.event, "node", None))


async def _facts(view: View, seqs: Sequence[int]) -> list[Recorded]:
    """The events at some sequences, in that order; what cannot be decoded is left out."""
    if max(seqs) - min(seqs) < 4 * len(seqs):
        part = read.facts(view.log, after=min(seqs) - 1, until=max(seqs))
        near = {one.meta.seq: one async for one in part}
        return [near[seq] for seq in seqs if seq in near]
    found = await asyncio.gather(*(_fact(view, f"{EVENTS}/{seq}") for seq in seqs))
    return [one for one in found if one is not None]


async def _fact(view: View, position: str) -> Recorded | None:
    try:
        return await read.fact_at(view.log, position)
    except UndecodableEvent:
        return None


async def event(request: Request) -> Response:
    """Show one event: its fields, and the tree of its causes and effects."""
    view, fold = view_of(request), await fold_of(request)
    found = await _found(request, view)
    at, (fact, meta) = at_of(request), found
    if meta.stream == EVENTS and at is not None and meta.seq > at:
        raise HTTPException(404, f"{meta.position} was not written at {EVENTS}/{at}")

    data, values = msgspec.to_builtins(fact), _values(request, fold)
    return shown(
        request,
        "event.html",
        title=f"{type(fact).__name__} {meta.position}",
        fact=fact,
        meta=meta,
        summary=type_of(fact).summary,
        fields=list(values.rows({name: data[name] for name in data if name not in BULKY})),
        left_out=[name for name in data if name in BULKY],
        tree=[(one, values.line(one.recorded.event)) for one in await _tree(view, found, at)],
        cause=place(meta.cause),
    )


def _values(request: Request, fold: Fold) -> Values:
    at = at_of(request)
    return Values(fold, lambda page: f"/at/{at}{page}" if at and page.startswith(PAST) else page)


async def _found(request: Request, view: View) -> Recorded:
    position = f"{request.path_params.get('stream', EVENTS)}/{request.path_params['seq']}"
    try:
        found = await read.fact_at(view.log, position)
    except UndecodableEvent as error:
        raise HTTPException(404, f"{position} cannot be decoded: {error}") from error
    if found is None:
        raise HTTPException(404, f"there is no event {position}")
    return found


async def _tree(view: View, found: Recorded, at: int | None) -> list[Step]:
    """Causes from the first one down, the event, and two levels of its effects."""
    above: list[Recorded] = []
    while len(above) < CAUSES_MAX and (cause := (above or [found])[-1].meta.cause):
        if (recorded := await _fact(view, cause)) is None:
            break
        above.append(recorded)
    steps = [Step(level, one) for level, one in enumerate(reversed(above))]
    effects = _effects(view, found.meta.position, at)
    steps.append(Step(len(above), found, True, max(0, len(effects) - EFFECTS_MAX)))
    effects = effects[:EFFECTS_MAX]
    deeper = {seq: _effects(view, f"{EVENTS}/{seq}", at) for seq in effects}
    wanted = {one for seq in effects for one in (seq, *deeper[seq][:EFFECTS_OF_EFFECT_MAX])}
    known = {one.meta.seq: one for one in await _facts(view, sorted(wanted))} if wanted else {}
    for seq in filter(known.__contains__, effects):
        more = max(0, len(deeper[seq]) - EFFECTS_OF_EFFECT_MAX)
        steps.append(Step(len(above) + 1, known[seq], False, more))
        for one in filter(known.__contains__, deeper[seq][:EFFECTS_OF_EFFECT_MAX]):
            below = len(_effects(view, f"{EVENTS}/{one}", at))
            steps.append(Step(len(above) + 2, known[one], False, below))
    return steps


def _effects(view: View, position: str, at: int | None) -> list[int]:
    """Sequences of the effects of an event, as far as they were written at a sequence."""
    found = islice(view.index.effects_of(position), EFFECTS_COUNTED_MAX)
    return [seq for seq in found if at is None or seq <= at]


async def causes(request: Request) -> Response:
    """Show everything that an event rests on, down to the games; one person at a time."""
    view = view_of(request)
    found = await _found(request, view)
    depth = number(request, "depth", 4, 1, WHY_DEPTH_MAX)
    try:
        async with asyncio.timeout(WHY_SECONDS_MAX), _why:
            top = await why(view.log, found, depth=depth)
    except TimeoutError as error:
        remedy = f"run `ringrift why {found.meta.position}`"
        raise HTTPException(503, f"this takes more than {WHY_SECONDS_MAX:g} s: {remedy}") from error
    rows = [
        (min(level, 12), node.position.partition("..")[0], node_text(node))
        for level, node in islice(top.walk(), WHY_NODES_MAX)
    ]
    return shown(
        request,
        "event_causes.html",
        title=f"What {found.meta.position} rests on",
        meta=found.meta,
        rows=list(_linked(rows)),
        depth=depth,
        deepest=WHY_DEPTH_MAX,
    )


def _linked(rows: list[tuple[int, str, str]]) -> Iterator[tuple[int, str, str, str]]:
    """Rows with the address of their position."""
    for level, position, text in rows:
        stream, _, seq = position.partition("/")
        yield level, f"/events/{seq}" if stream == EVENTS else f"/events/{GAMES}/{seq}", *_cut(text)


def _cut(text: str) -> tuple[str, str]:
    """The position in a line, and the rest with its role."""
    words = text.split(" ")
    at = next((n for n, word in enumerate(words) if word.startswith((EVENTS, GAMES))), 0)
    return words[at], " ".join((*words[:at], *words[at + 1 :]))


past_routes = [
    Route("/events", events),
    Route("/events/{seq:int}", event),
    Route("/events/{stream:str}/{seq:int}", event),
]
routes = [
    Route("/events/{seq:int}/why", causes),
    Route("/events/{stream:str}/{seq:int}/why", causes),
]
