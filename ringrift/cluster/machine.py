"""This machine, and the processes that its roles, GPU and memory allow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from ringrift.cluster.supervisor import Child, supervise
from ringrift.cluster.terminal import complain
from ringrift.errors import CommandError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Machine, Presence
from ringrift.runtime import host
from ringrift.runtime.processes import MIB, PROCESSES, ROLES, ProcessSpec, of_roles


class Planned(Struct, frozen=True):
    """A process to keep: its name, the role whose credentials it uses, and its number of threads,
    None for one a core."""

    consumer: str
    role: str
    threads: int | None


def parse_roles(text: str) -> tuple[str, ...]:
    """Roles separated by commas, each once. Raises ValueError."""
    roles = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not roles or not set(roles) <= set(ROLES):
        raise ValueError(f"{text!r}: give one or more of {','.join(ROLES)}")
    return roles


def this_machine(roles: Sequence[str], *, provider: str, price: float) -> Machine:
    """This machine with the roles that it is to have. `provider` and `price`, per hour, are those
    that the operator names."""
    import torch

    gpu = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    return Machine(
        roles=tuple(roles),
        cores=host.threads(),
        memory_bytes=host.memory_bytes(),
        gpu=gpu.name if gpu else "",
        gpus=torch.cuda.device_count() if gpu else 0,
        vram_bytes=int(gpu.total_memory) if gpu else 0,
        provider=provider,
        price_per_hour=price,
        version=host.version(),
    )


def plan(machine: Machine) -> list[Planned]:
    """The processes that this machine can run of its roles: of those that play, one for each core
    that the memory allows, or one if there is a GPU.

    Raises CommandError if the memory does not suffice for one process of each kind."""
    wanted = of_roles(machine.roles)
    least = sum(spec.memory for spec in wanted)
    if least > machine.memory_bytes:
        raise CommandError(
            f"{machine.memory_bytes / MIB:,.0f} MB of memory are too little for "
            f"{','.join(machine.roles)}, which need {least / MIB:,.0f} MB: give fewer roles"
        )
    each = sum(spec.memory for spec in wanted if spec.per_core)
    fitting = 1 + (machine.memory_bytes - least) // each if each else 1
    return copies(wanted, min(machine.cores, fitting), gpu=bool(machine.gpu))


def copies(specs: Iterable[ProcessSpec], count: int, *, gpu: bool) -> list[Planned]:
    """One process of each kind; without a GPU `count` of those that run once per core, with one
    thread each."""
    found = []
    for spec in specs:
        alone = gpu or not spec.per_core
        # threads that wait for each other at every layer of a network lose to other load
        planned = Planned(spec.name, spec.role, threads=None if alone else 1)
        found += [planned] * (1 if alone else count)
    return found


def children_of(
    planned: Iterable[Planned],
    server: str,
    data: Path,
    environment: Callable[[Planned], Mapping[str, str]] | None = None,
) -> list[Child]:
    """The planned processes, connected to `server`, with logs in `data`/logs; `environment` gives
    the variables of each besides those of this process, by default a free port for its health."""
    logs = data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    found: list[Child] = []
    for item in planned:
        number = sum(child.name == item.consumer for child in found)
        path = logs / f"{item.consumer}-{number}.log"
        own = environment(item) if environment else {"RINGRIFT_HEALTH_PORT": "0"}
        threads = {"RINGRIFT_THREADS": str(item.threads)} if item.threads else {}
        found.append(Child(item.consumer, server, path, {**threads, **own}))
    return found


@contextlib.asynccontextmanager
async def evaluators(log: JetStreamLog, data: Path) -> AsyncIterator[None]:
    """Ensure that a dispatcher and evaluators run until the block ends: one evaluator per core, or
    one for the GPU. Their logs are written to `data`/logs."""
    running = {beat.consumer for beat in await Presence(log).all()}
    wanted = [PROCESSES[name] for name in ("dispatcher", "evaluator") if name not in running]
    planned = copies(wanted, host.threads(), gpu=host.gpu())
    children = children_of(planned, log.servers[0], data)
    stopping = asyncio.Event()
    supervising = asyncio.create_task(supervise(children, stopping, complain))
    try:
        yield
    finally:
        stopping.set()
        await supervising
