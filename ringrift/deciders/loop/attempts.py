"""What becomes of a training? It finishes, fails, or times out after a silence; a failed one is
requested again, up to `ATTEMPTS_MAX` times in all."""

from __future__ import annotations

from datetime import datetime

from ringrift.deciders.kit import Context, Fold, Struct, replace
from ringrift.events import facts as f

ATTEMPTS_MAX = 3  # requirement G08.07: one attempt and two more on other nodes


class Running(Struct, frozen=True, kw_only=True):
    """A training in flight: its ticket once a trainer has it, and recorded time since its last sign
    of life."""

    ticket: str | None = None
    silent_seconds: float = 0.0


class Attempts(Struct, frozen=True, kw_only=True):
    """The training in flight, and the attempts at the same training so far."""

    count: int = 0
    failed: bool = False
    running: Running | None = None
    timed_out: str | None = None
    """ticket of the training that timed out last; its facts are ignored"""
    finished_at: datetime | None = None

    def silent_for(self, seconds: float) -> Attempts:
        """After more recorded time without a sign of life."""
        running = self.running
        if running is None:
            return self
        silent = running.silent_seconds + seconds
        return replace(self, running=replace(running, silent_seconds=silent))


ATTEMPTS = Fold(Attempts)


@ATTEMPTS.evolves
def requested(item: Attempts, fact: f.TrainingRequested) -> Attempts:
    return replace(item, count=item.count + 1, failed=False, running=Running())


@ATTEMPTS.evolves
def alive(item: Attempts, fact: f.TrainingStarted | f.TrainingCheckpointed) -> Attempts:
    # a ticket may be delivered twice: its other holder may have finished already
    if fact.ticket == item.timed_out or item.running is None:
        return item
    return replace(item, running=Running(ticket=fact.ticket))


@ATTEMPTS.evolves
def finished(item: Attempts, fact: f.TrainingFinished, context: Context) -> Attempts:
    if fact.ticket == item.timed_out:
        return item
    return replace(item, count=0, running=None, finished_at=context.time)


@ATTEMPTS.evolves
def failed(item: Attempts, fact: f.TrainingFailed) -> Attempts:
    return item if fact.ticket == item.timed_out else replace(item, failed=True, running=None)


@ATTEMPTS.evolves
def timed_out(item: Attempts, fact: f.TrainingTimedOut) -> Attempts:
    return replace(item, failed=True, running=None, timed_out=fact.ticket)


@ATTEMPTS.evolves
def retried(item: Attempts, fact: f.TrainingRetried) -> Attempts:
    return item if item.running else replace(item, count=ATTEMPTS_MAX - 1, failed=True)


@ATTEMPTS.evolves
def deadlock_broken(item: Attempts, fact: f.DeadlockBroken) -> Attempts:
    return replace(item, count=0, failed=False, running=None)
