"""A later start of the pages reads only what came after the earlier one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from support.loop_facts import planned
from support.pages import Site
from support.turning_loop import SETTINGS, TurningLoop

from ringrift.events import Recorded
from ringrift.events.facts import SettingsChanged
from ringrift.tools.memory_log import MemoryLog
from ringrift.web import cache as cache_module, view as view_module
from ringrift.web.cache import DIGEST_BYTES, Cache
from ringrift.web.view import View

from .test_view import content


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(view_module, "CHECKPOINT_EVENTS_MIN", 8)
    return tmp_path / "web"


async def opened(log: MemoryLog, folder: Path) -> View:
    view = View(log, folder)
    await view.catch_up()
    return view


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    assert (path.suffix, path.stat().st_mode & 0o777) == (".fold", 0o600)
    assert folder.stat().st_mode & 0o777 == 0o700
    return path


async def written(log: MemoryLog, folder: Path) -> Path:
    """The file of a log."""
    await (await opened(log, folder)).store(1)
    return only(folder)


async def test_a_view_from_the_file_is_the_same(turned: Site, folder: Path) -> None:
    await written(turned.log, folder)
    before = turned.view.fold.seq
    await turned.record(planned(5))
    read: list[int] = []

    class Counting(View):
        def take(self, recorded: Recorded) -> None:
            read.append(recorded.meta.seq)
            super().take(recorded)

    again = Counting(turned.log, folder)
    await again.catch_up()
    whole = View(turned.log)
    await whole.catch_up()
    assert read == [before + 1]
    assert content(again.fold) == content(whole.fold)
    for seq in (1, 20, before - 1):
        assert content(await again.at(seq)) == content(await whole.at(seq))
        assert list(again.history.since(seq)) == list(whole.history.since(seq))
        assert list(again.index.effects_of(f"EVENTS/{seq}")) == list(
            whole.index.effects_of(f"EVENTS/{seq}")
        )
    assert list(again.recent) == list(whole.recent)


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_other_code(path: Path) -> None:
    cache_module.code_version.cache_clear()
    path.write_bytes(path.read_bytes().replace(b'"code":"', b'"code":"0'))
    resealed(path)


def hostile(path: Path) -> None:
    head = path.read_bytes()[DIGEST_BYTES:].partition(b"\n")[0]
    path.write_bytes(bytes(DIGEST_BYTES) + head + b"\n" + pickle.dumps(Shell()))
    resealed(path)


def resealed(path: Path) -> None:
    with path.open("r+b") as file:
        cache_module._seal(file)


class Shell:
    def __reduce__(self) -> object:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("spoil", [damaged, cut, empty, of_other_code, hostile])
async def test_a_file_that_cannot_be_used_is_not(turned: Site, folder: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    path = await written(turned.log, folder)
    assert await Cache(turned.log, folder).load() is not None
    spoil(path)
    assert await Cache(turned.log, folder).load() is None
    again = await opened(turned.log, folder)
    assert content(again.fold) == content(turned.view.fold)


async def test_the_file_of_another_log_is_not_used(turned: Site, folder: Path) -> None:
    path, loop = await written(turned.log, folder), TurningLoop()
    await loop.put(SettingsChanged(version=1, settings=SETTINGS, why="x"), source="ringrift@n1")
    other = Cache(loop.log, folder)
    name = await other.path(".fold")
    assert name is not None
    if name != path:
        path.rename(name)
    assert await other.load() is None


@pytest.fixture
def crowded(folder: Path) -> Path:
    folder.mkdir()
    for number in range(9):
        old = folder / f"{number}.fold"
        old.touch()
        os.utime(old, (number, number))
    return folder


async def test_few_files_are_kept(turned: Site, crowded: Path) -> None:
    await (await opened(turned.log, crowded)).store(1)
    kept = sorted(os.listdir(crowded))
    assert len(kept) == cache_module.FILES_MAX
    assert {"6.fold", "7.fold", "8.fold"} < set(kept)


async def test_an_empty_log_and_a_folder_that_cannot_be_written(
    pages: Site, turned: Site, tmp_path: Path
) -> None:
    await (await opened(pages.log, tmp_path / "a")).store(0)
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").write_text("a file")
    view = await opened(turned.log, tmp_path / "b")
    await view.store(1)
    assert view.fold.seq == turned.view.fold.seq
