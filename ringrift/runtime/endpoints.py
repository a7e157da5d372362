"""A process's own endpoints, served by the event loop that does the work.

/health   200 while the process makes progress, else 503: a supervisor should then restart it
/ready    200 once it has caught up with the log, else 503
/metrics  see `ringrift.runtime.metrics`
/status   the process and the cluster as JSON
/metrics/fleet   the cluster, its nodes and configs: see `ringrift.runtime.fleet_metrics`
/sd       addresses of all processes, for Prometheus's `http_sd_configs`
"""

import asyncio
import os
from typing import Any

import msgspec

import ringrift
from ringrift.log.errors import StreamError
from ringrift.log.presence import SILENT_SECONDS
from ringrift.runtime import http, metrics
from ringrift.runtime.cluster_view import ClusterView, cluster_view
from ringrift.runtime.condition import WORK_STALLED_SECONDS_MAX
from ringrift.runtime.fleet_metrics import Fleet, Target, targets
from ringrift.runtime.process import Process
from ringrift.runtime.processes import MONITOR_PORT, PROCESSES

CLUSTER_KEPT_SECONDS = 2.0
"""how long an answer about the cluster is reused, so that frequent requests do not load the
server"""


class Endpoints:
    """The answers of one process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._fleet = Fleet(process.log, process.clock.wall)
        self._cluster: tuple[float, ClusterView] | None = None
        self._asking = asyncio.Lock()

    async def respond(self, path: str) -> http.Answer:
        """The answer to a path."""
        condition, now = self._process.condition, self._process.clock.monotonic()
        match path:
            case "/health":
                return _plain("alive" if condition.alive(now) else None, self._stalled(now))
            case "/ready":
                return _plain("ready" if condition.ready(now) else None, self._not_ready(now))
            case "/metrics":
                return http.Answer(200, metrics.CONTENT_TYPE, self._metrics(now))
            case "/metrics/fleet":
                return await self._fleet_metrics()
            case "/sd":
                found = await self._targets()
                return http.Answer(200, http.JSON, msgspec.json.encode(found))
            case "/status":
                return http.Answer(200, http.JSON, msgspec.json.encode(await self._status(now)))
        known = b"there are /health, /ready, /metrics, /metrics/fleet, /sd and /status\n"
        return http.Answer(404, http.TEXT, known)

    async def _targets(self) -> list[Target]:
        return await targets(self._process.log, self._process.node, self._process.clock.wall)

    async def _fleet_metrics(self) -> http.Answer:
        try:
            found = await self._fleet.metrics()
        except StreamError as error:  # so that Prometheus sees the target down
            return http.Answer(503, http.TEXT, f"{error}\n".encode())
        return http.Answer(200, metrics.CONTENT_TYPE, found.text())

    def _stalled(self, now: float) -> str:
        seconds = self._process.condition.work_stalled_seconds(now)
        if seconds >= WORK_STALLED_SECONDS_MAX:
            return f"{self._process.doing}: no progress for {seconds:.0f} s"
        lag = self._process.condition.lag_events
        return f"stalled at {self._process.seq}, {lag} events behind"

    def _not_ready(self, now: float) -> str:
        heard = self._process.condition.heard_seconds(now)
        if heard is None or heard >= SILENT_SECONDS:
            return "the server does not answer"
        return f"{self._process.condition.lag_events} events behind"

    async def _status(self, now: float) -> dict[str, Any]:
        process, condition = self._process, self._process.condition
        found: dict[str, Any] = {
            "consumer": process.name,
            "node": process.node,
            "instance": process.instance,
            "version": ringrift.__version__,
            "alive": condition.alive(now),
            "ready": condition.ready(now),
            "doing": process.doing,
            "standing_by": process.standing_by,
            "seq": process.seq,
            "lag_events": condition.lag_events,
            "lag_seconds": condition.lag_seconds(now),
            "heard_seconds": condition.heard_seconds(now),
            "work_stalled_seconds": condition.work_stalled_seconds(now),
            "folds": process.fold_hashes,
            "errors": process.errors,
            "pressure": process.tiers,
            "paused": process.controls.pauses.paused,
        }
        try:
            view = await self._cluster_view(now)
            return {**found, **_old_names(process.node, view), "cluster": view}
        except Exception as error:  # noqa: BLE001  the process can still be reported
            return {**found, "cluster": None, "cluster_error": str(error) or type(error).__name__}

    async def _cluster_view(self, now: float) -> ClusterView:
        async with self._asking:  # requests that arrive meanwhile share the answer
            if self._cluster is None or now - self._cluster[0] > CLUSTER_KEPT_SECONDS:
                view = await cluster_view(self._process.log, now=self._process.clock.wall)
                self._cluster = now, view
            return self._cluster[1]

    def _metrics(self, now: float) -> bytes:
        process, condition, found = self._process, self._process.condition, self._process.metrics
        lag_seconds, heard_seconds = condition.lag_seconds(now), condition.heard_seconds(now)
        found.set("ringrift_consumer_info", 1, ringrift.__version__)
        found.set("ringrift_consumer_alive", condition.alive(now))
        found.set("ringrift_consumer_ready", condition.ready(now))
        found.set("ringrift_consumer_sequence", process.seq)
        found.set("ringrift_consumer_errors_total", process.errors)
        found.set("ringrift_reconnects_total", process.log.reconnects)
        if condition.lag_events is not None and lag_seconds is not None:
            found.set("ringrift_consumer_lag_events", condition.lag_events)
            found.set("ringrift_consumer_lag_seconds", lag_seconds)
        if heard_seconds is not None:
            found.set("ringrift_heartbeat_age_seconds", heard_seconds)
        return found.text()


def _old_names(node: str, view: ClusterView) -> dict[str, Any]:
    """What the system before this one called parts of the cluster (requirements G17.06, G21.04)."""
    return {
        "node_id": node,
        "leader_id": view.leader,
        "alive_peers": sum(one.standing == "present" for one in view.nodes.values()),
        "voter_quorum_ok": view.quorum != "LOST",
        "resilience_score": view.resilience.score,
        "memory_pressure_tier": view.memory_tier,
    }


async def serve_health(process: Process) -> tuple[asyncio.Server, str]:
    """Serve the endpoints; the server and its address. Raises OSError with the remedy if the port
    requested by `RINGRIFT_HEALTH_PORT` is taken.

    Several processes of a kind on one node share a default port: the first takes it, the others
    take a free one, shown by `ringrift status`."""
    host = os.environ.get("RINGRIFT_HEALTH_HOST", "127.0.0.1")
    given = os.environ.get("RINGRIFT_HEALTH_PORT")
    port = health_port(given, process.name)
    endpoints = Endpoints(process)
    try:
        server = await http.serve(host, port, endpoints.respond)
    except OSError as error:
        if given is not None:
            why = f"cannot listen on {host}:{port} ({error.strerror})"
            remedy = "give another port, or 0 for a free one"
            raise OSError(f"RINGRIFT_HEALTH_PORT={given}: {why}; {remedy}") from error
        server = await http.serve(host, 0, endpoints.respond)
    address = "{}:{}".format(*server.sockets[0].getsockname()[:2])
    process.logger.info("health", address=address)
    return server, address


def health_port(given: str | None, consumer: str) -> int:
    """The port that `given` (`RINGRIFT_HEALTH_PORT`) names, by default the consumer's own. Raises
    OSError if it names none."""
    # Kubernetes sets it to tcp://... for a service `ringrift-health`
    if given is None or given.startswith("tcp://"):
        return PROCESSES[consumer].port if consumer in PROCESSES else MONITOR_PORT
    if not given.isdigit() or int(given) > 65535:
        remedy = "give a port between 0 and 65535, 0 for a free one"
        raise OSError(f"RINGRIFT_HEALTH_PORT={given!r}: {remedy}")
    return int(given)


def _plain(well: str | None, problem: str) -> http.Answer:
    return http.Answer(200 if well else 503, http.TEXT, f"{well or problem}\n".encode())
