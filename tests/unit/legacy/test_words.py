"""The table of old words names commands, facts and files that exist, and no secret of a host."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from ringrift.cli.main import COMMANDS
from ringrift.cluster.hosts_file import read_hosts
from ringrift.errors import CommandError
from ringrift.events import REGISTRY
from ringrift.events.settings_sources import ENV_OF_PROCESS, names
from ringrift.legacy.words import REFUSED, page, tables
from ringrift.runtime.processes import PROCESSES

ROOT = Path(__file__).parents[3]
KNOWN = {name for group in COMMANDS.values() for name in group}
HOSTS = """
hosts:
  Box-1:
    ssh_host: 192.0.2.7
    ssh_user: someone
    ssh_key: ~/.ssh/secret
    gpu: GH200 (96 GB)
    gpu_vram_gb: 96
    selfplay_enabled: false
  vast-2: {gpu: RTX 4090, gpu_vram_gb: 24, is_ephemeral: true, role: gpu_selfplay}
  small: {gpu: none, hetzner_id: x, cpus: 16}
  head: {gpu: none, selfplay_enabled: false, training_enabled: false}
  hop: {role: proxy, status: proxy_only}
"""


def quoted() -> list[str]:
    texts = [here for words in tables().values() for here in words.values()]
    texts += REFUSED.values()
    return [word for text in texts for word in re.findall("`([^`]+)`", text)]


def test_what_the_table_names_exists() -> None:
    for word in quoted():
        if word.startswith("ringrift/"):
            assert (ROOT / word).exists(), word
        elif word.startswith("ringrift "):
            command = word.removeprefix("ringrift ").split(" ")
            assert command[0] in KNOWN or " ".join(command[:2]) in KNOWN, word
        elif re.fullmatch("[A-Z][a-z]+[A-Za-z]+", word):
            assert word in REGISTRY, word
        elif word.startswith("RINGRIFT_"):
            settings = {name.upper().replace(".", "_") for name in names()}
            name = word.split("=")[0].removeprefix("RINGRIFT_")
            assert name in settings | ENV_OF_PROCESS, word
        elif "." in word:
            assert any(fnmatch(name, word) for name in names()), word
        else:
            assert word in PROCESSES or word in ("models", "checkpoints", "GAMES", "WORK"), word


def test_the_page_has_every_word_of_the_table() -> None:
    text = page()
    assert all(f"| `{old}` |" in text for words in tables().values() for old in words)


def test_old_machines_become_nodes_without_addresses(tmp_path: Path) -> None:
    path = tmp_path / "distributed_hosts.yaml"
    path.write_text(HOSTS)
    box, vast, small = read_hosts(path)
    assert (box.name, box.accelerator, box.vram_gib, box.kinds) == (
        "box-1",
        "gh200",
        96.0,
        ("training",),
    )
    assert (vast.provider, vast.ephemeral, vast.accelerator) == ("vast", True, "rtx-4090")
    assert (small.provider, small.kinds) == ("hetzner", ("evaluation", "selfplay"))
    assert "192.0.2.7" not in repr([node.fact for node in (box, vast, small)])


@pytest.mark.parametrize("text", ["hosts: [1]", "hosts: {}", "hosts: {a: {gpu_vram_gb: -1}}", "{"])
def test_a_list_of_machines_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "hosts.yaml"
    path.write_text(text)
    with pytest.raises(CommandError, match="hosts"):
        read_hosts(path)
