"""Whether a process makes progress and has caught up, as its heartbeat observes it."""

from ringrift.log.presence import SILENT_SECONDS

STALLED_SECONDS_MAX = 60.0
"""a decider that is behind and has folded nothing for this long is considered stuck"""
WORK_STALLED_SECONDS_MAX = 7200.0
"""a worker without progress on its ticket for this long is considered hung. A training may be
silent as long, and one step of many searches with a large network takes minutes without a GPU"""
LAG_READY_MAX = 100
"""events; a decider always lags by the events that are on their way to it"""


class Condition:
    """Progress of one process. Times are seconds on the process's monotonic clock."""

    def __init__(self) -> None:
        self.lag_events: int | None = None
        """None if the process folds nothing"""
        self._seq: int | None = None
        self._moved_at: float | None = None
        self._behind_since: float | None = None
        self._heard_at: float | None = None
        self._has_ticket = False
        self._worked_at = 0.0
        self._busy_seconds = 0.0
        self._busy_since: float | None = None

    def ticket_taken(self, now: float) -> None:
        """A ticket is in hand."""
        self._has_ticket, self._worked_at = True, now
        self.work_began(now)

    def ticket_progressed(self, now: float) -> None:
        """The ticket in hand makes progress. May be called from any thread, even after the end."""
        self._worked_at = now

    def ticket_ended(self, now: float) -> None:
        """No ticket is in hand any more."""
        self._has_ticket = False
        self.work_ended(now)

    def work_began(self, now: float) -> None:
        """From now on the process is busy."""
        self._busy_since = now

    def work_ended(self, now: float) -> None:
        """The process is idle again."""
        self._busy_seconds, self._busy_since = self.busy_seconds(now), None

    @property
    def busy(self) -> bool:
        """Whether the process works now."""
        return self._busy_since is not None

    def busy_seconds(self, now: float) -> float:
        """How long the process has worked since it started."""
        return self._busy_seconds + (
            now - self._busy_since if self._busy_since is not None else 0.0
        )

    def observed(self, seq: int | None, tail: int, now: float) -> None:
        """The server answered: its log ends at `tail`, and this process has folded up to `seq`
        (None if it folds nothing)."""
        self._heard_at = now
        self.lag_events = None if seq is None else max(0, tail - seq)
        if seq != self._seq or not self.lag_events:
            self._seq, self._moved_at = seq, now
        if not self.lag_events:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now

    def waits(self, now: float) -> None:
        """The process is behind on purpose, because others have to go on first."""
        self._moved_at = now

    def work_stalled_seconds(self, now: float) -> float:
        """Time since the last progress on the ticket in hand; 0 without one."""
        return now - self._worked_at if self._has_ticket else 0.0

    def lag_seconds(self, now: float) -> float | None:
        """How long the process has been behind; None if it folds nothing."""
        if self.lag_events is None:
            return None
        return 0.0 if self._behind_since is None else now - self._behind_since

    def heard_seconds(self, now: float) -> float | None:
        """Time since the server last answered; None before its first answer."""
        return None if self._heard_at is None else now - self._heard_at

    def alive(self, now: float) -> bool:
        """Whether the process makes progress. Without a server it is alive but not ready, because
        a restart would not help."""
        if self.work_stalled_seconds(now) >= WORK_STALLED_SECONDS_MAX:
            return False
        if self._moved_at is None or not self.lag_events:
            return True
        return now - self._moved_at < STALLED_SECONDS_MAX

    def ready(self, now: float) -> bool:
        """Whether the process is connected and has caught up with the log."""
        heard = self.heard_seconds(now)
        is_connected = heard is not None and heard < SILENT_SECONDS
        return is_connected and (self.lag_events or 0) <= LAG_READY_MAX
