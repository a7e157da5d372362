"""A process's own endpoints, served by the event loop that does the work.

/health   200 while the process makes progress, else 503: a supervisor should then restart it
/ready    200 once it has caught up with the log, else 503
/metrics  see `ringrift.runtime.metrics`
/status   the process and the cluster as JSON
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec
from msgspec import Struct

import ringrift
from ringrift.runtime import http, metrics
from ringrift.runtime.cluster_view import ClusterView, cluster_view
from ringrift.runtime.condition import SILENT_SECONDS_MAX, WORK_STALLED_SECONDS_MAX
from ringrift.runtime.process import Process
from ringrift.runtime.processes import HEALTH_PORT, PROCESSES

CLUSTER_KEPT_SECONDS = 2.0
"""how long an answer about the cluster is reused, so that frequent requests do not load the
server"""


class ProcessView(Struct, frozen=True, kw_only=True):
    """One process, as `/status` reports it."""

    consumer: str
    node: str
    instance: str
    version: str
    alive: bool
    ready: bool
    doing: str
    standing_by: bool
    seq: int
    lag_events: int | None
    lag_seconds: float | None
    heard_seconds: float | None
    work_stalled_seconds: float
    folds: dict[str, str]
    errors: int
    pressure: dict[str, str]
    paused: tuple[tuple[str, str], ...]


def view_of(process: Process) -> ProcessView:
    """The process at this moment."""
    now, condition = process.clock.monotonic(), process.condition
    return ProcessView(
        consumer=process.name,
        node=process.node,
        instance=process.instance,
        version=ringrift.__version__,
        alive=condition.alive(now),
        ready=condition.ready(now),
        doing=process.doing,
        standing_by=process.standing_by,
        seq=process.seq,
        lag_events=condition.lag_events,
        lag_seconds=condition.lag_seconds(now),
        heard_seconds=condition.heard_seconds(now),
        work_stalled_seconds=condition.work_stalled_seconds(now),
        folds=process.fold_hashes,
        errors=process.errors,
        pressure={str(name): str(tier) for name, tier in process.pressure.tiers.items()},
        paused=process.controls.pauses.paused,
    )


class Endpoints:
    """The answers of one process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._cluster: tuple[float, ClusterView] | None = None
        self._asking = asyncio.Lock()

    async def respond(self, path: str) -> http.Answer:
        """The answer to a path."""
        match path:
            case "/health":
                view = view_of(self._process)
                return _plain(view.alive, "alive" if view.alive else _stalled(view))
            case "/ready":
                view = view_of(self._process)
                return _plain(view.ready, "ready" if view.ready else _not_ready(view))
            case "/metrics":
                return http.Answer(200, metrics.CONTENT_TYPE, self._metrics())
            case "/status":
                return http.Answer(200, http.JSON, msgspec.json.encode(await self._status()))
        return http.Answer(404, http.TEXT, b"there are /health, /ready, /metrics and /status\n")

    async def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(view_of(self._process))
        try:
            return {**found, "cluster": msgspec.to_builtins(await self._cluster_view())}
        except Exception as error:  # noqa: BLE001  the process is reported even if the cluster cannot be
            return {**found, "cluster": None, "cluster_error": str(error) or type(error).__name__}

    async def _cluster_view(self) -> ClusterView:
        async with self._asking:
            now = self._process.clock.monotonic()
            if self._cluster is None or now - self._cluster[0] > CLUSTER_KEPT_SECONDS:
                self._cluster = (
                    now,
                    await cluster_view(self._process.log, now=self._process.clock.wall),
                )
            return self._cluster[1]

    def _metrics(self) -> bytes:
        process, view = self._process, view_of(self._process)
        found = process.metrics
        found.set("ringrift_consumer_info", 1, view.version)
        found.set("ringrift_consumer_alive", view.alive)
        found.set("ringrift_consumer_ready", view.ready)
        found.set("ringrift_consumer_sequence", view.seq)
        found.set("ringrift_consumer_errors_total", view.errors)
        if view.lag_events is not None and view.lag_seconds is not None:
            found.set("ringrift_consumer_lag_events", view.lag_events)
            found.set("ringrift_consumer_lag_seconds", view.lag_seconds)
        if view.heard_seconds is not None:
            found.set("ringrift_heartbeat_age_seconds", view.heard_seconds)
        found.set("ringrift_reconnects_total", process.log.reconnects)
        return found.text()


async def serve_health(
    process: Process, limits: http.Limits = http.LIMITS
) -> tuple[asyncio.Server, str]:
    """Serve the endpoints; the server and its address. Raises OSError with the remedy if the port
    requested by `RINGRIFT_HEALTH_PORT` is taken.

    Several processes of a kind on one node share a default port: the first takes it, the others
    take a free one, shown by `ringrift status`."""
    host = os.environ.get("RINGRIFT_HEALTH_HOST", "127.0.0.1")
    given = os.environ.get("RINGRIFT_HEALTH_PORT")
    port = health_port(given, process.name)
    endpoints = Endpoints(process)
    try:
        server = await http.serve(host, port, endpoints.respond, limits)
    except OSError as error:
        if given is not None:
            why = f"cannot listen on {host}:{port} ({error.strerror})"
            remedy = "give another port, or 0 for a free one"
            raise OSError(f"RINGRIFT_HEALTH_PORT={given}: {why}; {remedy}") from error
        server = await http.serve(host, 0, endpoints.respond, limits)
    address = "{}:{}".format(*server.sockets[0].getsockname()[:2])
    process.logger.info("health", address=address)
    return server, address


def health_port(given: str | None, consumer: str) -> int:
    """The port that `given` (`RINGRIFT_HEALTH_PORT`) names, by default the consumer's own. Raises
    OSError if it names none."""
    if given is None:
        return PROCESSES[consumer].port if consumer in PROCESSES else HEALTH_PORT
    if not given.isdigit() or int(given) > 65535:
        remedy = "give a port between 0 and 65535, 0 for a free one"
        raise OSError(f"RINGRIFT_HEALTH_PORT={given!r}: {remedy}")
    return int(given)


def _plain(well: bool, text: str) -> http.Answer:
    return http.Answer(200 if well else 503, http.TEXT, text.encode() + b"\n")


def _stalled(view: ProcessView) -> str:
    if view.work_stalled_seconds >= WORK_STALLED_SECONDS_MAX:
        return f"{view.doing}: no progress for {view.work_stalled_seconds:.0f} s"
    return f"stalled at {view.seq}, {view.lag_events} events behind"


def _not_ready(view: ProcessView) -> str:
    if view.heard_seconds is None or view.heard_seconds >= SILENT_SECONDS_MAX:
        return "the server does not answer"
    return f"{view.lag_events} events behind"
