"""The pages, as text: the loop, networks, evaluations, any time."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace
from support.loop_facts import A, B, planned, promoted, registered, scored
from support.pages import Site, beat

from ringrift.events import facts as f
from ringrift.events.participants import seat
from ringrift.insight.running import Played
from ringrift.log.blobs import Blobs
from ringrift.log.topology import MODEL_BUCKET
from ringrift.web.rendering import TEXT_CHARS_MAX, safe

PAGES = (
    "/",
    "/networks",
    "/networks/hex8_2p",
    "/networks/hex8_2p?over=time",
    "/evaluations",
    "/time",
)
HOSTILE = '<script>alert("x")</script>\x1b[31m\u202egpj.exe\x00' + "x" * 15_000


def text(page: str) -> str:
    """What a person reads of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def newest(site: Site, kind: type[f.Fact]) -> int:
    return next(site.view.index.newest(kind.__name__))


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_of_an_empty_log_says_so(pages: Site, path: str) -> None:
    answer = await pages.client.get(path)
    assert answer.status_code == (404 if "hex8_2p" in path else 200)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_html_without_inline_script_or_style(turned: Site, path: str) -> None:
    answer = await turned.client.get(path, follow_redirects=True)
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert not re.search(r"<[^>]+ (style|on[a-z]+)=", answer.text)
    assert 'href="http' not in answer.text
    assert 'src="http' not in answer.text


async def test_a_log_that_is_still_read_is_said_to_be(turned: Site) -> None:
    assert "Reading the log" not in await turned.get("/")
    turned.view.ready, turned.view.tail = False, 12_345
    turned.view.touch()
    assert f"Reading the log: {turned.view.fold.seq} of 12,345 events" in await turned.get("/")


async def test_the_loop_shows_stage_network_elo_and_decisions(turned: Site) -> None:
    page = text(await turned.get("/"))
    assert "All 3 generations judged" in page
    assert "Generation 3 promoted" in page
    assert re.search(r"Elo, heuristic = 0, ± 95 % [+-]\d+ ± \d+", page)
    assert "No process has reported yet" in page


async def test_all_is_well_once_a_process_has_reported(turned: Site) -> None:
    turned.view.beats = [beat("planner", seq=1)]
    turned.view.touch()
    assert "Nothing needs you" in text(await turned.get("/"))


async def test_the_loop_counts_games_of_a_ticket_in_hand(turned: Site) -> None:
    await turned.record(planned(4, 64))
    ticket = f"selfplay-events-{newest(turned, f.SelfplayPlanned)}-0"
    turned.view._played[ticket] = 40
    assert "games 40 of 64" in text(await turned.get("/"))


async def test_what_needs_a_person_stands_on_top_with_a_remedy(turned: Site) -> None:
    failed = f.TrainingFailed(
        config="hex8_2p", generation=4, ticket="t", node="n1", reason="CUDA out of memory"
    )
    letter = f.DeadLetterStored(
        consumer="trainer", stream="WORK", seq=7, dead_seq=1, reason="no such shard", deliveries=4
    )
    await turned.record(failed, letter, f.PipelinePaused(scope="all", kind="all", why="holiday"))
    page = text(await turned.get("/"))
    assert "hex8_2p: training failed" in page
    assert "CUDA out of memory" in page
    assert "1 dead letter → see ringrift dlq list" in page
    assert "holiday" in page
    assert "ringrift resume" in page
    assert "ringrift dlq" in page


async def test_a_trial_shows_score_and_test_between_its_bounds(turned: Site) -> None:
    current = turned.view.fold.loop.configs["hex8_2p"].current
    await turned.record(registered(B, 4), request(current))
    ticket = f"evaluation-events-{newest(turned, f.EvaluationRequested)}"
    for number, ranks in enumerate([(1, 2), (2, 1), (1, 2), (1, 2)]):
        game = Played(f"{ticket}-{number}", "hex8_2p", "evaluation", ticket, ranks)
        assert turned.view.fold.running.count(game)
    for path in ("/", "/evaluations", f"/evaluations/{ticket.rpartition('-')[2]}"):
        page = await turned.get(path)
        assert 'aria-label="log-likelihood ratio' in page
        assert "75.0 %" in text(page)
        assert "start 2 of" in text(page)


async def test_networks_show_elo_verdict_and_scores(turned: Site) -> None:
    page = await turned.get("/networks/hex8_2p")
    assert page.count('class="network"') == 3
    assert "random" in page
    assert page.count("promoted</span>") == 3


async def test_the_current_network_follows_what_a_person_decides(turned: Site) -> None:
    first, _, third = turned.view.fold.networks

    async def current() -> tuple[str, str]:
        """The network with the badge in the table, and the one on the card of the loop."""
        table = await turned.get("/networks/hex8_2p")
        card = (await turned.get("/")).split("Current network")[1]
        badge = r'>(\w+)</a> <span class="badge good">current'
        (found,) = re.findall(badge, table)
        return found, re.sub(r"\s+", " ", text(card.split("</dd>")[0])).strip()

    rolled = f.ModelRolledBack(
        config="hex8_2p",
        model=third,
        current=first,
        elo_drop=0.0,
        why="weak at the end",
        settings_version=1,
    )
    await turned.record(rolled)
    assert await current() == (first[:12], f"{first[:12]} generation 1")
    assert "weak at the end" in await turned.get("/")
    imported = [replace(registered(model, 0), ticket=f"import-{model[:12]}") for model in (A, B)]
    by_hand = replace(promoted(A, 0, first), evidence=None, why="my own network")
    await turned.record(*imported, by_hand)
    assert await current() == (A[:12], f"{A[:12]} generation 0")
    seq = turned.view.fold.seq
    assert await turned.get(f"/at/{seq - 1}/networks/hex8_2p") != await turned.get(
        f"/at/{seq}/networks/hex8_2p"
    )


async def test_a_network_shows_lineage_both_ways_and_its_matches(turned: Site) -> None:
    first, second, third = turned.view.fold.networks
    page = await turned.get(f"/networks/hex8_2p/{second[:12]}")
    assert f"/networks/hex8_2p/{first}" in page
    assert f"/networks/hex8_2p/{third}" in page
    assert f"/play?config=hex8_2p&amp;model={second}" in page
    assert f"{newest(turned, f.ModelPromoted)}" not in page  # the verdict on another
    assert page.count("/evaluations/") >= 3
    assert "no coordinator has attested" in page
    said = {"config": "hex8_2p", "model": second, "promotion": 9, "root": "a" * 64}
    await turned.record(*(f.PromotionAttested(node=node, **said) for node in ("n1", "n2")))
    page = await turned.get(f"/networks/hex8_2p/{second[:12]}")
    assert "attested by n1, n2" in text(page)
    assert f"ringrift certificate export {second[:12]}" in page


@pytest.mark.parametrize("model", ["abc", "f" * 12, "a" * 4000])
async def test_a_network_that_is_not_there_is_missed_in_one_line(turned: Site, model: str) -> None:
    assert "no networks of hex8_2p" in await turned.get(f"/networks/hex8_2p/{model}", 404)


async def test_a_network_can_be_taken_away(turned: Site) -> None:
    model = await Blobs(turned.log).put(MODEL_BUCKET, b"weights")
    await turned.record(replace(registered(model, 4), model=model))
    answer = await turned.client.get(f"/networks/hex8_2p/{model}/download")
    assert answer.content == b"weights"
    assert answer.headers["content-disposition"].startswith("attachment")
    graph = f"/networks/hex8_2p/{model}/download?format=onnx"
    assert graph in await turned.get(f"/networks/hex8_2p/{model}")
    assert "checkpoint" in await turned.get(graph, 400)  # or the packages that are missing
    missing = next(iter(turned.view.fold.networks))
    assert "not in the bucket" in await turned.get(f"/networks/hex8_2p/{missing}/download", 404)


async def test_a_match_shows_rounds_openings_seats_and_games(turned: Site) -> None:
    seq = min(turned.view.fold.running.matches)
    page = text(await turned.get(f"/evaluations/{seq}"))
    assert "Pentanomial" in page
    assert "On seat 1 100.0 % of 1 games" in page
    assert "a1 b2" in page
    assert "30 plies" in page


async def test_a_later_round_leads_to_its_match(turned: Site) -> None:
    current = turned.view.fold.loop.configs["hex8_2p"].current
    first = await turned.record(registered(B, 4), request(current))
    second = await turned.record(replace(request(current), round=1))
    answer = await turned.client.get(f"/evaluations/{second}")
    assert answer.headers["location"] == f"/evaluations/{first}"
    assert "is no request" in await turned.get("/evaluations/1", 404)


async def test_ended_matches_come_in_pages_and_can_be_filtered(turned: Site) -> None:
    seqs = sorted(turned.view.fold.running.matches)
    page = await turned.get(f"/evaluations?before={seqs[1]}")
    assert f'/evaluations/{seqs[0]}"' in page
    assert f'/evaluations/{seqs[1]}"' not in page
    assert "/evaluations/" not in await turned.get("/evaluations?purpose=ladder")


@pytest.mark.parametrize("path", ["/", "/networks/hex8_2p", "/evaluations"])
async def test_a_page_of_the_past_is_as_it_was(turned: Site, path: str) -> None:
    seq = turned.view.fold.seq // 2
    then = Site(turned.log, turned.view, turned.client)
    page = await then.get(f"/at/{seq}{path}")
    assert "The past" in page
    assert "data-version" not in page
    await turned.record(*(scored("random", 3, 1) for _ in range(3)))
    again = await then.get(f"/at/{seq}{path}")
    assert text(again) == text(page)
    assert f'href="/at/{seq}/networks' in page


@pytest.mark.parametrize("seq", ["0", "99999", "9" * 30])
async def test_a_time_that_is_not_written_is_no_page(turned: Site, seq: str) -> None:
    await turned.get(f"/at/{seq}/", 404)


async def test_time_says_what_is_different_now_and_why(turned: Site) -> None:
    last = newest(turned, f.ModelPromoted)
    page = text(await turned.get(f"/time?at={last - 1}"))
    assert re.search(rf"generations judged 2 3 EVENTS/{last} ModelPromoted", page)
    assert "Nothing." in text(await turned.get("/time"))


async def test_time_is_found_by_the_clock(turned: Site) -> None:
    page = await turned.get("/time?when=2000-01-01T00:00")
    assert "Time" in page
    assert "is no time such as" in text(await turned.get("/time?when=yesterday", 400))
    assert "at must be a whole number" in await turned.get("/time?at=-3", 400)


async def test_hostile_texts_are_shown_as_text_and_cut(turned: Site) -> None:
    failed = f.TrainingFailed(config="hex8_2p", generation=4, ticket="t", node="n1", reason=HOSTILE)
    await turned.record(failed, f.PipelinePaused(scope="all", kind="all", why=HOSTILE))
    for path in ("/", f"/time?at={turned.view.fold.seq}"):
        page = await turned.get(path)
        assert "<script>alert" not in page
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "\x00" not in page
        assert len(page) < 40_000


def test_a_safe_text_shows_what_cannot_be_seen() -> None:
    assert safe("\x1b[1m\u202e\u2066a\u200b\n") == "\\u001b[1m\\u202e\\u2066a\\u200b\n"
    assert len(safe("x" * 10_000)) == TEXT_CHARS_MAX
    assert safe("Rang ½ 局面") == "Rang ½ 局面"


def request(rival: str | None) -> f.EvaluationRequested:
    return f.EvaluationRequested(
        config="hex8_2p",
        generation=4,
        candidate=seat("gumbel", model=B, simulations=32),
        opponent=seat("gumbel", model=rival or A, simulations=32),
        purpose="promotion",
        round=0,
        starts=4,
        seed=1,
        settings_version=1,
    )
