"""Dead letters can be looked at by all and changed by the operator; the fleet shows its nodes."""

from __future__ import annotations

import pytest
from support.pages import Site, beat, site

from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.dead_letters import store_dead_letter
from ringrift.log.entry import Entry
from ringrift.log.errors import LogUnavailable
from ringrift.log.presence import Machine, Presence
from ringrift.runtime.metrics import CONTENT_TYPE

BODY = b'{"broken": "<b>\x1b[1m"}'


async def one(pages: Site) -> int:
    """A letter of the first message of EVENTS, which cannot be decoded; its number."""
    entry = Entry(seq=1, subject="ringrift.x.all.y", stamp_ns=0, body=BODY)
    fact = f.DeadLetterStored(
        consumer="rater",
        stream="EVENTS",
        seq=1,
        dead_seq=1,
        reason="no <i>such</i> event",
        deliveries=3,
    )
    number = await store_dead_letter(pages.log, entry, fact, "rater@n1")
    await pages.view.catch_up()
    return number


async def test_letters_are_listed_and_shown() -> None:
    async with site() as pages:
        assert "None." in await pages.get("/dead-letters")
        number = await one(pages)
        text = await pages.get("/dead-letters")
        assert "no &lt;i&gt;such&lt;/i&gt; event" in text
        text = await pages.get(f"/dead-letters/{number}")
        assert "&lt;b&gt;" in text
        assert "\x1b" not in text
        assert "Sign in</a> to retry" in text
        await pages.get("/dead-letters/77", 404)


async def test_only_the_operator_changes_them() -> None:
    async with site() as pages:
        number = await one(pages)
        before = pages.view.fold.seq
        for verb in ("retry", "drop"):
            answer = await pages.client.post(f"/dead-letters/{number}/{verb}", data={"why": "old"})
            assert answer.status_code == 401
        pages.sign_in()
        foreign = {"origin": "https://evil.example"}
        address = f"/dead-letters/{number}/drop"
        answer = await pages.client.post(address, data={"why": "old"}, headers=foreign)
        assert answer.status_code == 403
        await pages.view.catch_up()
        assert pages.view.fold.seq == before


async def test_dropping_records_a_person_and_the_reason() -> None:
    async with site() as pages:
        number = await one(pages)
        pages.sign_in()
        answer = await pages.client.post(f"/dead-letters/{number}/drop", data={"why": " "})
        assert answer.status_code == 400
        answer = await pages.client.post(f"/dead-letters/{number}/drop", data={"why": "old"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/dead-letters")
        recorded = await read.latest(pages.log, f.DeadLetterResolved)
        assert recorded is not None
        assert (recorded.event.outcome, recorded.event.why) == ("dropped", "old")
        assert recorded.meta.source.startswith("ringrift@")
        await pages.view.catch_up()
        assert "0 unresolved" in await pages.get("/dead-letters")


async def test_retrying_records_the_outcome() -> None:
    async with site() as pages:
        number = await one(pages)
        pages.sign_in()
        assert (await pages.client.post(f"/dead-letters/{number}/retry")).status_code == 303
        outcome = await read.latest(pages.log, f.DeadLetterResolved)
        assert outcome is not None  # the first message is the fact about the letter, which decodes
        assert outcome.event.outcome == "decodes"


async def test_the_fleet_shows_nodes_and_processes() -> None:
    async with site() as pages:
        assert "No node sends heartbeats" in await pages.get("/fleet")
        machine = Machine(
            roles=("selfplay",), cores=8, memory_bytes=2**34, gpu="H200", vram_bytes=2**37
        )
        playing = beat("selfplay", errors=3, doing="playing <b>hex8_2p</b>", machine=machine)
        await Presence(pages.log).beat(playing)
        pages.view.beats = await Presence(pages.log).all()
        registered = f.NodeRegistered(
            node="box2", provider="p", accelerator="rtx4090", vram_gib=24.0, cost_per_hour=0.4
        )
        audit = f.NodeAudit(node="box2", first_seq=1, games=7, decisions=9)
        await pages.record(
            registered,
            f.AuditFinished(
                node="n9",
                head="EVENTS/1",
                first_seq=1,
                last_seq=9,
                found=(audit,),
                skipped=0,
                search_seconds=1.0,
            ),
            f.NodeQuarantined(node="box2", clean_seq=0, evidence=0.0, games=7, why="it lied"),
        )
        text = await pages.get("/fleet")
        assert 'id="node-box1"' in text
        assert "H200 128 GiB, 8 cores, 16 GiB" in text
        assert "playing &lt;b&gt;hex8_2p" in text
        assert "rtx4090" in text
        assert "0.40" in text
        row = text.split('id="node-box1"')[1].split("</tr>")[0]
        assert ">3<" in row
        row = text.split('id="node-box2"')[1].split("</tr>")[0]
        assert "quarantined" in row
        assert ">7<" in row


async def test_a_prometheus_reads_the_fleet_and_where_its_processes_are() -> None:
    async with site() as pages:
        answer = await pages.client.get("/sd")
        assert (answer.status_code, answer.json()) == (200, [])
        await Presence(pages.log).beat(beat("rater", health="10.0.0.7:8795"))
        answer = await pages.client.get("/metrics/fleet")
        assert answer.headers["content-type"] == CONTENT_TYPE
        assert 'ringrift_node_processes{consumer="rater",node="box1"} 1.0\n' in answer.text
        (found,) = (await pages.client.get("/sd")).json()
        assert found["targets"] == ["10.0.0.7:8795"]
        assert found["labels"]["__meta_ringrift_node"] == "box1"


async def test_prometheus_sees_an_outage_as_a_target_that_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with site() as pages:

        async def silent(*_: object, **__: object) -> None:
            raise LogUnavailable("no server answers")

        monkeypatch.setattr(pages.log, "call", silent)
        monkeypatch.setattr(pages.log, "last", silent)
        assert "no server answers" in await pages.get("/metrics/fleet", 503)
