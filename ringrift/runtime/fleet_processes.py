"""The metrics of every process of the fleet, which answer as NATS services: none needs an address
that can be reached.

An answer counts for the process that was asked: labels that say who it is are replaced, and only
metrics that a process measures about itself are taken."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence

from nats.aio.msg import Msg
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from ringrift.log.connect import Connection
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat
from ringrift.log.protocol import Log
from ringrift.log.topology import FLEET, FLEET_INBOX
from ringrift.runtime.metrics import METRICS

ANSWER_SECONDS_MAX = 2.0
ANSWER_BYTES_MAX = 256 * 1024
PROCESSES_MAX = 500
_OWN = {name.removesuffix("_total") for name, metric in METRICS.items() if not metric.cluster}


class Answers:
    """The metrics of processes by name, as a collector of a registry."""

    def __init__(self, families: Mapping[str, Family]) -> None:
        self.families = families

    def collect(self) -> Iterator[Family]:
        """Every metric with the samples of all processes."""
        yield from self.families.values()


async def ask(log: Log, beats: Sequence[Heartbeat]) -> Answers:
    """Ask the processes of these heartbeats; those that do not answer in time are left out."""
    if not isinstance(log, JetStreamLog):
        return Answers({})
    asked = {str(number): beat for number, beat in enumerate(beats[:PROCESSES_MAX])}
    answers: dict[str, bytes] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await _collect(log.client, asked, answers)
    return await asyncio.to_thread(merged, [(asked[key], text) for key, text in answers.items()])


async def _collect(
    client: Connection, asked: Mapping[str, Heartbeat], answers: dict[str, bytes]
) -> None:
    inbox = client.new_inbox()
    if client.role:
        inbox = f"{FLEET_INBOX}.{client.role}.{inbox.rpartition('.')[2]}"
    all_in = asyncio.Event()

    async def take(message: Msg) -> None:
        key = message.subject.rpartition(".")[2]
        if key in asked and 0 < len(message.data) <= ANSWER_BYTES_MAX:
            answers.setdefault(key, message.data)
        if len(answers) == len(asked):
            all_in.set()

    listening = await client.subscribe(f"{inbox}.*", cb=take)
    try:
        for key, beat in asked.items():
            subject = f"{FLEET}.{beat.consumer}.{beat.node}.{beat.instance}.metrics"
            await client.publish(subject, b"", reply=f"{inbox}.{key}")
        if asked:
            await all_in.wait()
    finally:
        await listening.unsubscribe()


def merged(answers: Sequence[tuple[Heartbeat, bytes]]) -> Answers:
    """One family for each metric, with the samples of all processes."""
    families: dict[str, Family] = {}
    for beat, text in answers:
        who = {"consumer": beat.consumer, "node": beat.node, "process": beat.instance}
        with contextlib.suppress(ValueError):  # not the format: it says nothing
            for family in list(text_string_to_metric_families(text.decode())):
                name = family.name
                if name in _OWN or name.startswith("process_"):
                    empty = Family(name, family.documentation, family.type)
                    samples = [each._replace(labels=each.labels | who) for each in family.samples]
                    families.setdefault(name, empty).samples += samples
    return Answers(families)
