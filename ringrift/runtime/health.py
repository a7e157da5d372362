"""Is this process well? `GET /health /ready /metrics /status`, answered in the loop that does the
work.

/health   200 while the process makes progress, else 503: then a supervisor should start it again
/ready    200 once it has caught up with the log, else 503
/metrics  `ringrift.runtime.metrics` as text
/status   all of it and the cluster as JSON
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

import ringrift
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import HEARTBEAT_SECONDS, HEARTBEATS_MISSED_MAX
from ringrift.runtime import http
from ringrift.runtime.cluster_state import ClusterView, cluster_view
from ringrift.runtime.processes import HEALTH_PORT, PROCESSES

if TYPE_CHECKING:
    from ringrift.runtime.process import Process

STALLED_SECONDS_MAX = 60.0
"""a decider that is behind and has folded nothing for so long does not move any more"""
WORK_STALLED_SECONDS_MAX = 7200.0
"""a worker whose ticket has not got on for so long hangs; a training may be silent as long. One
step of many searches with a large network takes minutes without a GPU"""
SILENT_SECONDS_MAX = HEARTBEAT_SECONDS * HEARTBEATS_MISSED_MAX
LAG_READY_MAX = 100
"""events; a decider is never nearer than what is on its way"""
CLUSTER_KEPT_SECONDS = 2.0
"""an answer about the cluster is given again for so long, so that asking often costs the server
nothing"""


class Condition:
    """Progress as the heartbeat sees it; times are those of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self.lag_events: int | None = None
        self._seq = -1
        self._moved_at: float | None = None
        self._behind_since: float | None = None
        self._heard_at: float | None = None
        self._in_hand = False
        self._worked_at = 0.0

    def took(self, now: float) -> None:
        """A ticket is in hand."""
        self._in_hand, self._worked_at = True, now

    def worked(self, now: float) -> None:
        """The ticket in hand gets on. From any thread, also from one whose ticket has just
        ended."""
        self._worked_at = now

    def gave(self) -> None:
        """No ticket is in hand any more."""
        self._in_hand = False

    def work_stalled_seconds(self, now: float) -> float:
        """Since the ticket in hand last got on, 0 without one."""
        return now - self._worked_at if self._in_hand else 0.0

    def saw(self, seq: int | None, tail: int, now: float) -> None:
        """The server answered; this process has folded up to `seq` (None if it folds nothing) of
        `tail`."""
        self._heard_at = now
        self.lag_events = None if seq is None else max(0, tail - seq)
        if seq is None or seq != self._seq or not self.lag_events:
            self._seq, self._moved_at = seq if seq is not None else -1, now
        self._behind_since = None if not self.lag_events else self._behind_since or now

    def lag_seconds(self, now: float) -> float | None:
        """How long it has been behind; None if it folds nothing."""
        if self.lag_events is None:
            return None
        return 0.0 if self._behind_since is None else now - self._behind_since

    def heard_seconds(self, now: float) -> float | None:
        """Since the server last answered; None before it ever did."""
        return None if self._heard_at is None else now - self._heard_at

    def alive(self, now: float) -> bool:
        """Whether it makes progress. Without a server nobody does and a restart would not help:
        that is not ready, but alive."""
        if self.work_stalled_seconds(now) >= WORK_STALLED_SECONDS_MAX:
            return False
        return (
            self._moved_at is None
            or not self.lag_events
            or now - self._moved_at < STALLED_SECONDS_MAX
        )

    def ready(self, now: float) -> bool:
        """Whether it is connected and has caught up."""
        heard = self.heard_seconds(now)
        return (
            heard is not None
            and heard < SILENT_SECONDS_MAX
            and (self.lag_events or 0) <= LAG_READY_MAX
        )


class ProcessView(Struct, frozen=True, kw_only=True):
    """One process, as its `/status` tells."""

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
    """How the process is now."""
    now, condition = time.monotonic(), process.condition
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
        paused=process.pauses.paused,
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
                return http.Answer(200, http.METRICS, self._metrics().encode())
            case "/status":
                return http.Answer(200, http.JSON, msgspec.json.encode(await self._status()))
        return http.Answer(404, http.TEXT, b"there are /health, /ready, /metrics and /status\n")

    async def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(view_of(self._process))
        try:
            return {**found, "cluster": msgspec.to_builtins(await self.cluster())}
        except Exception as error:  # noqa: BLE001  whatever keeps us from the cluster, the process can still tell of itself
            return {**found, "cluster": None, "cluster_error": str(error) or type(error).__name__}

    async def cluster(self) -> ClusterView:
        """The cluster, at most `CLUSTER_KEPT_SECONDS` old."""
        async with self._asking:
            if self._cluster is None or time.monotonic() - self._cluster[0] > CLUSTER_KEPT_SECONDS:
                self._cluster = time.monotonic(), await cluster_view(self._process.log)
            return self._cluster[1]

    def _metrics(self) -> str:
        process, view = self._process, view_of(self._process)
        metrics = process.metrics
        metrics.set("ringrift_consumer_info", 1, view.version)
        metrics.set("ringrift_consumer_alive", view.alive)
        metrics.set("ringrift_consumer_ready", view.ready)
        metrics.set("ringrift_consumer_sequence", view.seq)
        metrics.set("ringrift_consumer_errors_total", view.errors)
        if view.lag_events is not None and view.lag_seconds is not None:
            metrics.set("ringrift_consumer_lag_events", view.lag_events)
            metrics.set("ringrift_consumer_lag_seconds", view.lag_seconds)
        if view.heard_seconds is not None:
            metrics.set("ringrift_heartbeat_age_seconds", view.heard_seconds)
        if isinstance(process.log, JetStreamLog):
            metrics.set("ringrift_reconnects_total", process.log.client.stats.get("reconnects", 0))
        return metrics.text()


async def serve_health(process: Process) -> tuple[asyncio.Server, str]:
    """Serve the endpoints; the server and its address. Raises OSError with the remedy if the port
    asked for is taken.

    Several of a kind on one node have the same default: the first takes it, the others a free one,
    shown by `ringrift status`."""
    host, given = (
        os.environ.get("RINGRIFT_HEALTH_HOST", "127.0.0.1"),
        os.environ.get("RINGRIFT_HEALTH_PORT"),
    )
    port = health_port(given, process.name)
    endpoints = Endpoints(process)
    try:
        server = await http.serve(host, port, endpoints.respond)
    except OSError as error:
        if given is not None:
            why = f"cannot listen on {host}:{port} ({error.strerror}); give another port, or 0 for a free one"
            raise OSError(f"RINGRIFT_HEALTH_PORT={given}: {why}") from error
        server = await http.serve(host, 0, endpoints.respond)
    address = "{}:{}".format(*server.sockets[0].getsockname()[:2])
    process.logger.info("health", address=address)
    return server, address


def health_port(given: str | None, consumer: str) -> int:
    """The port that `RINGRIFT_HEALTH_PORT` names, by default the consumer's own. Raises OSError if
    it names none."""
    if given is None:
        return PROCESSES[consumer].port if consumer in PROCESSES else HEALTH_PORT
    if not given.isdigit() or int(given) > 65535:
        raise OSError(
            f"RINGRIFT_HEALTH_PORT={given!r}: give a port between 0 and 65535, 0 for a free one"
        )
    return int(given)


def _plain(well: bool, text: str) -> http.Answer:
    return http.Answer(200 if well else 503, http.TEXT, text.encode() + b"\n")


def _stalled(view: ProcessView) -> str:
    if view.work_stalled_seconds >= WORK_STALLED_SECONDS_MAX:
        return f"{view.doing}: nothing has come of it for {view.work_stalled_seconds:.0f} s"
    return f"stalled at {view.seq}, {view.lag_events} events behind"


def _not_ready(view: ProcessView) -> str:
    if view.heard_seconds is None or view.heard_seconds >= SILENT_SECONDS_MAX:
        return "the server does not answer"
    return f"{view.lag_events} events behind"
