"""What a Prometheus reads: the metrics of the fleet and the addresses of its processes, as every
process serves them, at an address that stays."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringrift.runtime import http
from ringrift.runtime.fleet_metrics import Fleet, targets
from ringrift.runtime.host import node_name
from ringrift.runtime.metrics import CONTENT_TYPE


@asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[None]:
    """Keep what was counted between two requests."""
    app.state.fleet = Fleet(app.state.log, time.time)
    yield


async def fleet(request: Request) -> Response:
    """Send the metrics of the fleet."""
    found = await request.app.state.fleet.metrics()
    return Response(found.text(), media_type=CONTENT_TYPE)


async def addresses(request: Request) -> Response:
    """Send the addresses of all processes, for `http_sd_configs`."""
    found = await targets(request.app.state.log, node_name(), time.time)
    return Response(msgspec.json.encode(found), media_type=http.JSON)


routes = [Route("/metrics/fleet", fleet), Route("/sd", addresses)]
"""An answer that fails has the status 503, so that Prometheus sees the target down."""
