"""`ringrift up`."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter
from cyclopts.validators import mutually_exclusive

from ringrift.cli import WORDS
from ringrift.cli.common import Assignments, Config, Data, Duration, console
from ringrift.cluster import steering
from ringrift.cluster.terminal import complain
from ringrift.events import Settings
from ringrift.events.settings import FIRST
from ringrift.events.settings_sources import from_arguments, from_environment, load, old_variables

LENGTH = Group("Length of the run", validator=mutually_exclusive)


async def up(
    *,
    config: tuple[Config, ...] = (),
    generations: Annotated[int | None, Parameter(group=LENGTH)] = None,
    duration: Annotated[Duration | None, Parameter(name="--for", group=LENGTH)] = None,
    data: Data = Path(".ringrift"),
    server: str | None = None,
    settings: Path | None = None,
    set: Assignments = (),
    plain: bool = False,
    no_web: bool = False,
) -> int:
    """Run the loop on this machine: server, consumers, pages and a live screen.

    Ctrl-C drains the consumers. The same command continues a run.

    Args:
        config: Board and seats, such as hex8_2p; may be repeated.
        generations: Stop when this many networks have been judged.
        duration: Stop after a time such as 90s, 30m or 2h.
        server: Use this NATS server, such as nats://host:4222, instead of an embedded one.
        settings: Read settings from this JSON file.
        set: Change one setting, such as training.batch=128; may be repeated.
        plain: Print plain lines even on a terminal.
        no_web: Serve no pages.
    """
    for line in old_variables(os.environ):
        complain(line)
    given, file = from_arguments(set), steering.read_settings(settings)
    from ringrift.cluster import up as loop

    def choose(in_force: Settings | None) -> Settings:
        """Those in force, then those of the file, the environment, `--set` and other options."""

        def named(base: Settings | None) -> Settings:
            return load(from_environment(os.environ), given, file=file, base=base)

        new = in_force is None and not server
        chosen = steering.on_this_machine(named) if new else named(in_force or FIRST)
        if config:
            chosen = load({"configs": ",".join(config)}, base=chosen)
        # a limit of generations holds for later runs too, unless they are new or timed
        if generations is not None or in_force is None or duration is not None:
            chosen = load({"generations": str(generations or 0)}, base=chosen)
        return steering.with_known_architectures(chosen)

    seconds = duration.total_seconds() if duration else None
    out = console(plain=plain)
    return await loop.up(data, server, choose, seconds, WORDS.get(), out, web=not no_web)
