"""The hook: one call a process, what it may answer, and what is no answer."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path

import pytest
from support.provider import Provider
from support.waiting import eventually

from ringrift.consumers import hook
from ringrift.consumers.hook import HookFailed, HookRefused

RENT = {"verb": "rent", "key": "k", "name": "n", "offer": "x", "cost_per_hour_max": 0.5}


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path / "provider.json")


def is_gone(pid: int) -> bool:
    """Whether a process has ended, even if its parent does not know."""
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split()[2] == "Z"


@pytest.fixture
def script(tmp_path: Path):
    def write(text: str) -> str:
        path = tmp_path / "hook.sh"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        return str(path)

    return write


async def test_a_key_rents_once(provider: Provider) -> None:
    first = await hook.call(provider.hook, RENT, 20.0)
    again = await hook.call(provider.hook, RENT, 20.0)
    assert (first.id, again.id, first.cost_per_hour) == ("i-0", "i-0", 0.5)
    (one,) = (await hook.call(provider.hook, {"verb": "list"}, 20.0)).instances or ()
    assert (one.id, one.name, one.offer, one.cost_per_hour) == ("i-0", "n", "x", 0.5)


async def test_an_error_is_a_refusal_with_its_text(provider: Provider) -> None:
    provider.change(faults=["refuse no machine is free"])
    with pytest.raises(HookRefused, match=r"^no machine is free$"):
        await hook.call(provider.hook, RENT, 20.0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cat > /dev/null; echo nonsense", "status 0 and no valid answer"),
        ("cat > /dev/null; echo '[]'", "no valid answer"),
        ("echo '{\"id\": 7}'", "no valid answer"),
        ("echo '{\"cost_per_hour\": -1}'", "no valid answer"),
        ("exit 3", "status 3 and no valid answer"),
        ("echo '{}'; exit 3", "ended with status 3"),
        ("printf '\\377'", "no valid answer"),
        ("yes 1", "more than 1,048,576 bytes"),
        ("echo secret >&2; exit 1", "^the hook ended with status 1 and no valid answer$"),
    ],
)
async def test_what_is_no_answer_is_said_without_its_errors(script, text: str, why: str) -> None:
    with pytest.raises(HookFailed, match=why) as found:
        await hook.call(script(text), RENT, 20.0)
    assert not isinstance(found.value, HookRefused)


async def test_one_that_takes_too_long_is_killed_with_all_it_started(script, tmp_path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(HookFailed, match=r"within 0\.5 s"):
        await hook.call(script(f"sleep 3600 & echo $! > {pid}; wait"), RENT, 0.5)
    assert await asyncio.to_thread(is_gone, int(pid.read_text()))


async def test_one_whose_output_nobody_read_ends() -> None:
    process = await asyncio.create_subprocess_exec(
        "yes", stdout=asyncio.subprocess.PIPE, start_new_session=True
    )

    async def paused() -> bool:
        return process.stdout._paused  # type: ignore[union-attr]

    await eventually(paused, 20.0, 0.01)
    await hook.end(process)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
async def test_a_program_that_leaves_the_session_is_not_waited_for(
    script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "END_SECONDS_MAX", 0.2)
    pid = tmp_path / "pid"
    with pytest.raises(HookFailed, match=r"within 0\.5 s"):
        await hook.call(script(f"setsid sh -c 'echo $$ > {pid}; exec sleep 3600'"), RENT, 0.5)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    gc.collect()


async def test_one_that_does_not_exist_is_named() -> None:
    with pytest.raises(HookFailed, match=r"does not start: .*no-such-hook"):
        await hook.call("/no-such-hook", RENT, 1.0)


async def test_the_hook_inherits_the_environment(script, monkeypatch) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "s")
    assert os.environ["PROVIDER_KEY"]
    command = script('cat > /dev/null; echo "{\\"id\\": \\"$PROVIDER_KEY\\"}"')
    assert (await hook.call(command, RENT, 20.0)).id == "s"
