"""`ringrift voter check`: what runs before the server of a voter."""

from pathlib import Path

from ringrift.cluster.terminal import complain
from ringrift.server import reserve, voter


def check(*, directory: Path = Path(), empty: bool = False) -> None:
    """Compare a voter's configuration with its store before its server starts.

    A server deletes all streams of a store that it does not take for its own, for example after
    its name was changed. The exit status is 1 if it would.

    Args:
        directory: The folder with the voter's nats.conf.
        empty: The store may be empty: its disk was replaced, and the other voters have the log.
    """
    identity, store = voter.check(directory, empty=empty)
    if identity.clustered and (text := reserve.keep(store)):
        complain(text)
    print(f"voter {identity.name}: {store} holds {voter.content(store)}, and it is its own")
