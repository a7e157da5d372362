"""A second implementation of the rules judges sampled games."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from support.games import play_game
from support.requested_games import write_requested
from support.system import System, running

from ringrift.cli.main import main
from ringrift.consumers import exporter, feedback
from ringrift.consumers.verification.parity import NoVerdict, Verdicts, check, judge, keep_checking
from ringrift.events import Settings, facts as f
from ringrift.events.settings import ParitySettings, ShardSettings
from ringrift.trust.heads import HeadWriter
from ringrift.trust.traces.writing import trace_of

OWN = "from ringrift.cli.main import main; sys.exit(main(['parity', 'check', *sys.argv[1:]]))"
"""our own rules in another process"""
PARITY = ParitySettings(command="ringrift-parity-other", share=1.0)


def program(folder: Path, code: str, *, probe: bool = False) -> str:
    """Install a program; the path of it."""
    path = folder / PARITY.command
    text = f"#!{sys.executable}\nimport sys\nsys.path[:0] = {sys.path!r}\n"
    if probe:  # it rejects the game without its last move, as a working program does
        text += "if sys.argv[1].endswith('wrong.jsonl'): sys.exit(1)\n"
    path.write_text(f"{text}{code}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which processes find programs."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


async def headed(system: System, settings: ParitySettings = PARITY) -> None:
    """Put settings in force, and record a tree head later than the games."""
    both = Settings(parity=settings, shard=ShardSettings(games=4))
    await system.write(f.SettingsChanged(version=1, settings=both, why="test"))
    await asyncio.sleep(1.0)
    for item in await HeadWriter(system.process("verifier", "n1")).round():
        await system.log.append([item])


@pytest.mark.parametrize("config", ["hex8_2p", "square8_3p"])
def test_a_game_is_a_trace_that_the_check_accepts(tmp_path: Path, config: str) -> None:
    (tmp_path / "trace.jsonl").write_bytes(trace_of(play_game(config, 1)))
    assert main(["parity", "check", str(tmp_path / "trace.jsonl")]) == 0


def test_our_rules_in_another_process_agree(path: Path) -> None:
    assert judge(program(path, OWN), [play_game("hex8_2p", 1)]) == (1, {})


def test_a_program_that_agrees_with_everything_gives_no_verdict(path: Path) -> None:
    with pytest.raises(NoVerdict, match="lacks its last move"):
        judge(program(path, "pass"), [play_game("hex8_2p", 1)])


def test_a_program_that_fails_gives_no_verdict(path: Path) -> None:
    with pytest.raises(NoVerdict, match="status 3: no memory"):
        judge(program(path, "print('no memory'); sys.exit(3)"), [play_game("hex8_2p", 1)])


async def test_a_rejected_game_is_named_retracted_and_not_trained_on(
    system: System, path: Path
) -> None:
    games = await write_requested(system, *(play_game("hex8_2p", seed) for seed in range(4)))
    program(
        path,
        f"sys.exit({games[2].game!r} in ''.join(open(it).read() for it in sys.argv[1:]))",
        probe=True,
    )
    await headed(system)
    jobs = keep_checking(system.process("auditor", "n9")), feedback.main(system.process("feedback"))
    async with running(*jobs):
        confirmed, _ = await system.first(f.ParityConfirmed)
        rejected, its_meta = await system.first(f.ParityRejected)
        retraction, meta = await system.first(f.GamesRetracted)
    assert (confirmed.first_seq, confirmed.last_seq, confirmed.games) == (1, 4, 4)
    assert (rejected.game, rejected.game_seq) == (games[2].game, 3)
    assert (retraction.first_seq, retraction.last_seq, meta.cause) == (3, 3, its_meta.position)
    async with running(exporter.main(system.process("exporter"))):
        shard, _ = await system.first(f.ShardExported)
    assert shard.refused == {"parity": (3,)}


async def test_games_wait_for_their_verdict_if_pending_ones_may_not_be_trained_on(
    system: System, path: Path
) -> None:
    await write_requested(system, *(play_game("hex8_2p", seed) for seed in range(4)))
    await headed(system, replace(PARITY, pending=False, share=0.0))
    async with running(exporter.main(system.process("exporter"))):
        await asyncio.sleep(60.0)
        assert await system.facts(f.ShardExported) == []
        program(path, "pass", probe=True)
        async with running(keep_checking(system.process("auditor", "n9"))):
            shard, _ = await system.first(f.ShardExported)
    assert (shard.games, shard.refused) == (4, {})


async def test_games_of_a_sampled_range_are_judged_once_all_must_be(
    system: System, path: Path
) -> None:
    await write_requested(system, *(play_game("hex8_2p", seed) for seed in range(4)))
    name, verdicts = program(path, "pass", probe=True), Verdicts()
    await headed(system, replace(PARITY, share=0.0))
    auditor = system.process("auditor", "n9")
    assert await check(auditor, replace(PARITY, share=0.0), name, verdicts)
    assert not await check(auditor, replace(PARITY, share=0.0), name, verdicts)
    assert verdicts.refusal(4, pending=False) == "pending"
    await headed(system, replace(PARITY, pending=False))
    async with running(exporter.main(system.process("exporter"))):
        await asyncio.sleep(60.0)
        assert await system.facts(f.ShardExported) == []
        async with running(keep_checking(system.process("auditor", "n9"))):
            shard, _ = await system.first(f.ShardExported)
    assert (shard.games, shard.refused) == (4, {})


@pytest.mark.parametrize("command", ["bash", "/tmp/ringrift-parity-x", "ringrift-parity-x -c y"])
def test_a_setting_cannot_start_any_other_program(command: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="ringrift-parity-"):
        msgspec.convert({"command": command}, ParitySettings)


def test_pending_games_cannot_be_excluded_without_a_program() -> None:
    with pytest.raises(ValueError, match="without command no game is judged, so pending must be"):
        ParitySettings(pending=False)
