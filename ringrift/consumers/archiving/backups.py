"""Scheduled backups."""

import math

from ringrift.consumers.archiving.state import State
from ringrift.events.facts import BackupFailed, BackupFinished
from ringrift.events.settings import BackupSettings
from ringrift.log.errors import ConcurrencyError, LeaseLost, StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Expect
from ringrift.runtime.process import Process
from ringrift.server.backup import Backup, prune, save
from ringrift.server.grow import live

RETRY_SECONDS = 900.0


class Schedule:
    """When the next backup is due, and how the last one ended."""

    def __init__(self, process: Process, fence: Expect, state: State) -> None:
        self._process, self._fence, self._state = process, fence, state
        self._not_before = 0.0

    async def run(self, settings: BackupSettings) -> None:
        """Make a backup if one is due, and record how it ended; a failure is recorded once."""
        process, state, now = self._process, self._state, self._process.clock.wall()
        age = now - state.backup.timestamp() if state.backup else None
        overdue = settings.overdue_hours * 3600.0 if settings.place else math.inf
        process.metrics.set("ringrift_backup_overdue_seconds", overdue)
        if not settings.place:
            return
        if age is not None:
            process.metrics.set("ringrift_backup_age_seconds", age)
        if (age is None or age >= settings.every_hours * 3600.0) and now >= self._not_before:
            process.doing = f"backing up to {settings.place}"
            try:
                made = await self._save(settings)
            except (ConcurrencyError, LeaseLost):
                raise
            except StreamError as error:
                await self._failed(settings.place, str(error))
                return
            fact = BackupFinished(
                place=settings.place,
                name=made.name,
                size_bytes=made.size_bytes,
                new_bytes=made.new_bytes,
                backup_seconds=process.clock.wall() - now,
            )
            await process.append(fact, key=made.name, expect=self._fence)
            process.doing = f"made backup {made.name}"
            process.metrics.set("ringrift_backup_failing", 0)
            process.logger.info("backup finished", name=made.name, new_bytes=made.new_bytes)

    async def _save(self, settings: BackupSettings) -> Backup:
        log = self._process.log
        assert isinstance(log, JetStreamLog), "snapshots are made by servers"
        made = await save(await live(log), settings.place)
        await prune(settings.place, settings.keep)
        return made

    async def _failed(self, place: str, error: str) -> None:
        process, now = self._process, self._process.clock.wall()
        self._not_before = now + RETRY_SECONDS
        process.doing = f"cannot back up: {error}"
        process.metrics.set("ringrift_backup_failing", 1)
        process.logger.error("backup failed", place=place, error=error)
        if not self._state.backup_failed:
            fact = BackupFailed(place=place, error=error)
            await process.append(fact, key=f"{now:.3f}", expect=self._fence)
