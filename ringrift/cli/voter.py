"""`ringrift voter`: what runs before and beside the server of a voter."""

import os
import signal
from pathlib import Path

from ringrift.cluster.terminal import complain
from ringrift.log.errors import ServerError
from ringrift.runtime import host
from ringrift.server import reserve, voter


def check(*, directory: Path = Path(), empty: bool = False) -> None:
    """Compare a voter's configuration with its store before its server starts.

    A server deletes all streams of a store that it does not take for its own, for example after
    its name was changed. The exit status is 1 if it would. Damaged Raft snapshots, with which a
    server takes no part in a stream, are set aside: it gets what it lacks from the others.

    Args:
        directory: The folder with the voter's nats.conf.
        empty: The store may be empty: its disk was replaced, and the other voters have the log.
    """
    identity, store = voter.check(directory, empty=empty, report=complain)
    if identity.clustered:
        if text := reserve.keep(store):
            complain(text)
        try:
            voter.note_disk(directory, host.disk(store) or 0.0)
        except ServerError as error:  # the server starts all the same
            complain(str(error))
    print(f"voter {identity.name}: {store} holds {voter.content(store)}, and it is its own")


def disk(*, directory: Path = Path(), pid: int = 0) -> None:
    """Note how full the disk of a voter is, where the monitor reads it.

    The monitor records it: no worker takes a ticket while the disk of a voter is short. The timer
    of the systemd unit runs this every minute.

    Args:
        directory: The folder with the voter's nats.conf.
        pid: The process of its server, which reads its configuration again after a change.
    """
    identity, store = voter.configured(directory)
    used = host.disk(store) or 0.0
    if voter.note_disk(directory, used) and pid > 0:
        os.kill(pid, signal.SIGHUP)
    print(f"voter {identity.name}: {used:.0%} of the disk of {store} is in use")
