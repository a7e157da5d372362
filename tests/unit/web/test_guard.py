"""Who may see and who may change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from support.pages import TOKEN, Site, site

from ringrift.web.guard import BODY_BYTES_MAX, Guard, require_operator


@pytest_asyncio.fixture
async def pages() -> AsyncIterator[Site]:
    async with site() as found:
        yield found


def request(guard: Guard, **headers: str) -> Request:
    class App:
        class state:  # noqa: N801
            pass

    App.state.guard = guard  # type: ignore[attr-defined]
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": named, "app": App})


async def test_every_answer_has_a_strict_policy(pages: Site) -> None:
    for path in ("/", "/missing", "/static/style.css"):
        headers = (await pages.client.get(path)).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("host", ["localhost", "localhost:8780", "127.0.0.1:80", "[::1]:8780"])
def test_a_loopback_name_is_known(host: str) -> None:
    assert Guard().knows(host)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "10.0.0.7", "localhost.evil.example", "[", "[::1", "[zz]"]
)
async def test_a_foreign_name_is_refused(pages: Site, host: str) -> None:
    assert (await pages.client.get("/", headers={"host": host})).status_code == 421


def test_beyond_loopback_addresses_are_known_and_foreign_names_are_not() -> None:
    guard = Guard("t", ("*", "box.lan"))
    assert guard.knows("10.0.0.7:8780")
    assert guard.knows("BOX.lan")
    assert not guard.knows("evil.example")


async def test_a_large_body_is_refused(pages: Site) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 65_536 + 1):
            yield b"x" * 65_536

    said = await pages.client.post("/login", content=b"", headers={"content-length": "9999999"})
    sent = await pages.client.post("/login", content=chunks())
    assert {said.status_code, sent.status_code} == {413}


async def test_a_long_address_is_refused(pages: Site) -> None:
    assert (await pages.client.get("/?" + "x" * 9000)).status_code == 414


@pytest.mark.parametrize("path", ["/at/{}/", "/events/{}", "/evaluations/{}", "/games/{}"])
async def test_a_number_of_any_length_in_an_address_is_refused(pages: Site, path: str) -> None:
    for digits, status in ((20, 404), (900, 404), (5000, 414)):
        assert (await pages.client.get(path.format("9" * digits))).status_code == status


async def test_a_page_that_waits_for_a_silent_log_ends(
    pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("ringrift.web.app.ANSWER_SECONDS_MAX", 0)
    monkeypatch.setattr("ringrift.log.read.fact_at", never)
    assert "The log is not available" in await pages.get("/events/1", 503)


async def test_signing_in_gives_a_strict_cookie(pages: Site) -> None:
    answer = await pages.client.post("/login", data={"token": TOKEN, "next": "/networks"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/networks")
    cookie = answer.headers["set-cookie"].lower()
    assert "samesite=strict" in cookie
    assert "httponly" in cookie
    assert TOKEN not in cookie
    assert "Sign out" in await pages.get("/")


async def test_a_wrong_token_is_refused(pages: Site) -> None:
    answer = await pages.client.post("/login", data={"token": "guess"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("page", ["//evil.example", "/\\evil.example", "https://evil.example"])
async def test_signing_in_never_leads_to_another_site(pages: Site, page: str) -> None:
    answer = await pages.client.post("/login", data={"token": TOKEN, "next": page})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer guess"}, 401),
        ({"cookie": "ringrift=guess"}, 401),
        ({"authorization": f"Bearer {TOKEN}", "origin": "https://evil.example"}, 403),
        ({"authorization": f"Bearer {TOKEN}", "sec_fetch_site": "cross-site"}, 403),
        ({"authorization": f"Bearer {TOKEN}", "sec_fetch_site": "same-site"}, 403),
    ],
)
async def test_changing_needs_the_token_and_the_same_origin(
    headers: dict[str, str], status: int
) -> None:
    with pytest.raises(HTTPException) as refused:
        await require_operator(request(Guard(TOKEN), host="localhost:8780", **headers))
    assert refused.value.status_code == status


async def test_the_operator_may_change() -> None:
    guard, own = Guard(TOKEN), {"host": "localhost:8780", "origin": "http://localhost:8780"}
    await require_operator(request(guard, authorization=f"Bearer {TOKEN}", **own))
    await require_operator(request(guard, cookie=f"ringrift={guard.cookie}", **own))


async def test_an_unknown_page_is_a_page(pages: Site) -> None:
    assert "There is no such page" in await pages.get("/missing", 404)
