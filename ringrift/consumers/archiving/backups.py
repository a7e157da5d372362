"""Scheduled backups."""

from ringrift.consumers.archiving.state import State
from ringrift.events.settings import BackupSettings
from ringrift.log.protocol import Expect
from ringrift.runtime.process import Process


class Schedule:
    """When the next backup is due."""

    def __init__(self, process: Process, fence: Expect, state: State) -> None:
        self._process, self._fence, self._state = process, fence, state

    async def run(self, settings: BackupSettings) -> None:
        """Make a backup if one is due."""
