"""`ringrift watch`."""

from ringrift.cli.common import Source, console, opened
from ringrift.cluster.supervisor import background, stop_on_signals
from ringrift.cluster.watching import Watching
from ringrift.insight.live import Live
from ringrift.log.wire import shown_address


async def watch(*, plain: bool = False, source: Source = Source()) -> None:  # noqa: B008  frozen
    """Show what a running system does, on the whole terminal.

    Keys move: tab to the next config, arrows to scroll, n for what needs a person, p for the
    processes, q to quit. Without a terminal it prints lines.

    Args:
        plain: Print plain lines even on a terminal.
    """
    async with opened(source) as log:
        live = Live(log)
        where = shown_address(log.servers[0]) if source.server else str(source.data)
        screen = Watching(live, console(plain=plain), where)
        stop_on_signals(screen.quit.set)
        with screen.shown():
            async with background(live.run(), screen.run(), ended=lambda _: screen.quit.set()):
                await screen.quit.wait()
