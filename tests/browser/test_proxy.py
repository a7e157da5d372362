"""The pages behind a reverse proxy with HTTPS, whose headers are those of ops/README.md."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from support.browser import TOKEN, serving

from ringrift.tools.memory_log import MemoryLog

README = Path(__file__).parents[2] / "ops" / "README.md"
NAME = "pages.example"
VARIABLES = {"$host": NAME, "$remote_addr": "203.0.113.9", "$scheme": "https"}
GAME = {"config": "hex8_2p", "seat1": "person", "seat2": "person"}


def proxied() -> dict[str, str]:
    """The headers that nginx sets, as the page tells it to."""
    found = re.findall(r"proxy_set_header ([\w-]+) (\$\w+);", README.read_text())
    assert len(found) == 3
    return {name: VARIABLES[value] for name, value in found}


async def test_the_pages_work_behind_the_proxy_of_the_readme() -> None:
    own = {"origin": f"https://{NAME}", "sec-fetch-site": "same-origin"}
    async with (
        serving(MemoryLog(), NAME) as (address, _),
        httpx.AsyncClient(base_url=address, headers=proxied()) as viewer,
    ):
        assert (await viewer.get("/")).status_code == 200
        async with viewer.stream("GET", "/live") as live:
            assert "data:" in await anext(live.aiter_text())
        refused = await viewer.post("/play", data=GAME, headers=own)
        assert refused.status_code == 401  # not treated as a request from this machine
        signed = await viewer.get("/login", params={"token": TOKEN})
        cookie = signed.headers["set-cookie"]
        assert "Secure" in cookie
        signed_in = {**own, "cookie": cookie.partition(";")[0]}
        assert (await viewer.post("/play", data=GAME, headers=signed_in)).status_code == 303
        foreign = {**signed_in, "origin": "https://evil.example"}
        assert (await viewer.post("/play", data=GAME, headers=foreign)).status_code == 403
        assert (await viewer.get("/", headers={"host": "evil.example"})).status_code == 421
