"""The docs of an installation: rules with pictures, and the reference of the running program."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import pytest
import pytest_asyncio
from support.pages import Site, site

from ringrift.events import Settings
from ringrift.events.facts import SettingsChanged
from ringrift.web.pages import docs


@pytest_asyncio.fixture
async def pages() -> AsyncIterator[Site]:
    async with site() as found:
        yield found


async def test_every_page_of_the_list_is_there(pages: Site) -> None:
    listed = re.findall(r'href="(/docs/\w+)"', (await pages.client.get("/docs")).text)
    names = {path.rpartition("/")[2] for path in listed}
    assert names == docs.FILES.keys() | docs.WRITTEN.keys() | {"commands"}
    for path, words in {
        "rules": "permanently out",
        "settings": "promotion.elo1",
        "events": "ModelPromoted",
        "metrics": "ringrift_consumer_alive",
        "commands": "ringrift whatif",
    }.items():
        found = await pages.client.get(f"/docs/{path}")
        assert found.status_code == 200
        assert words in found.text
        assert "<table>" in found.text or path == "commands"
        assert " style=" not in found.text


async def test_the_settings_have_their_values_in_force(pages: Site) -> None:
    assert "in force" not in await pages.get("/docs/settings")
    for version, generations in ((1, 7), (2, 8)):
        settings = Settings(configs=("hex8_2p",), generations=generations)
        await pages.record(SettingsChanged(version=version, settings=settings, why="w"))
        page = await pages.get("/docs/settings")
        assert "<th>in force</th>" in page
        row = page.split("<code>generations</code>")[1].split("</tr>")[0]
        assert f"<td><code>{generations}</code></td>" in row


async def test_pictures_and_anchors_of_the_rules_resolve(pages: Site) -> None:
    text = (await pages.client.get("/docs/rules_with_pictures")).text
    pictures = set(re.findall(r'src="(/docs/pictures/\w+\.svg)"', text))
    assert len(pictures) > 15
    for address in pictures:
        headers = (await pages.client.get(address)).headers
        assert headers["content-type"] == "image/svg+xml"
        assert headers["content-security-policy"] == docs.PICTURE_POLICY
    assert 'href="/docs/rules"' in text
    assert 'id="11-regions"' in (await pages.client.get("/docs/rules")).text


@pytest.mark.parametrize("name", [*docs.FILES, *docs.WRITTEN, "commands"])
async def test_every_link_and_anchor_of_a_page_leads_somewhere(pages: Site, name: str) -> None:
    text = await pages.get(f"/docs/{name}")
    for address in set(re.findall(r'href="([^"]+)"', text)):
        path, _, anchor = urljoin(f"/docs/{name}", unescape(address)).partition("#")
        if path.startswith("/docs/"):
            there = (await pages.client.get(path)).raise_for_status().text
            assert not anchor or f'id="{anchor}"' in there, address


@pytest.mark.parametrize("path", ["nothing", "pictures/nothing.svg", "pictures/..%2frules.svg"])
async def test_what_does_not_exist_is_not_found(pages: Site, path: str) -> None:
    assert (await pages.client.get(f"/docs/{path}")).status_code == 404


async def test_a_missing_installation_is_named(
    pages: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(docs, "FOLDERS", (tmp_path, tmp_path))
    found = await pages.client.get("/docs/rules")
    assert found.status_code == 404
    assert str(tmp_path) in found.text
