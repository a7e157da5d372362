"""What the archiver knows from the log."""

from datetime import datetime, timedelta

from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS

READS = (
    *(f.SegmentArchived, f.StreamTrimmed, f.ModelArchived, f.ModelKept),
    *(f.ArchiveFailed, f.ArchiveRecovered, f.BackupFinished, f.BackupFailed),
    *(f.ModelRegistered, f.ModelDerived, f.ModelPromoted, f.ModelRolledBack),
    f.NodePressureChanged,
)
"""the first two are read by the archive of the log itself"""


class State:
    """A fold of the facts about networks, the archive and backups."""

    def __init__(self) -> None:
        self.failing = False
        """whether the store failed when it was used last"""
        self.backup: datetime | None = None
        """when the newest backup began, as far as the log says"""
        self.backup_failed = False
        self.disks: dict[str, f.Tier] = {}
        """how full the disks of nodes are"""
        self._seq = 0
        self._parents: dict[str, tuple[str, ...]] = {}
        self._configs: dict[str, str] = {}
        self._used: dict[str, datetime] = {}
        self._current: dict[str, str] = {}
        self._kept: set[str] = set()

    async def read_on(self, log: Log) -> None:
        """Fold what is new."""
        tail = await log.tail(EVENTS)
        async for event, meta in read.facts(log, *READS, after=self._seq, until=tail):
            self._take(event, meta.time)
        self._seq = tail

    def _take(self, event: f.Fact, time: datetime) -> None:
        match event:
            case f.ModelRegistered() | f.ModelDerived():
                self._parents[event.model] = event.parents
                self._configs[event.model] = event.config
                self._used[event.model] = time
            case f.ModelPromoted() | f.ModelRolledBack():
                # the incumbent before is the answer to a loss of the new one
                before = self._current.get(event.config)
                self._used |= dict.fromkeys(filter(None, (before, event.current)), time)
                self._current[event.config] = event.current
            case f.ModelKept():
                (self._kept.add if event.kept else self._kept.discard)(event.model)
            case f.ArchiveFailed() | f.ArchiveRecovered():
                self.failing = isinstance(event, f.ArchiveFailed)
            case f.BackupFinished():
                began = time - timedelta(seconds=event.backup_seconds)
                self.backup, self.backup_failed = began, False
            case f.BackupFailed():
                self.backup_failed = True
            case f.NodePressureChanged(resource="disk"):
                self.disks[event.node] = event.tier

    def idle_networks(self, before: datetime) -> dict[str, str]:
        """The configs of networks that were last used before a time and are neither current, nor
        parents of current ones, nor kept by a person, by digest."""
        needed = {*self._kept, *self._current.values()}
        for model in self._current.values():
            needed.update(self._parents.get(model, ()))
        return {
            model: config
            for model, config in self._configs.items()
            if model not in needed and self._used[model] < before
        }
