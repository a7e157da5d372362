"""Files of a fleet and of faults that make no sense are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from support.fleets import FAULTS, NODES

from ringrift.cluster.fleet_file import copied, read_fleet
from ringrift.errors import CommandError
from ringrift.tools.simulation.fault_plan import What, read_faults


def written(folder: Path, text: str) -> Path:
    path = folder / "file.toml"
    path.write_text(text)
    return path


def test_copies_have_names_of_their_own() -> None:
    names = [node.fact.node for node in copied(NODES, 25)]
    assert len(set(names)) == len(names) == 1_000


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):  # the command line names the file
        read_fleet(tmp_path / "fleet.toml")
    with pytest.raises(CommandError, match="No such file"):
        read_faults(tmp_path / "faults.toml", ())


def test_a_node_without_a_provider_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="provider"):
        read_fleet(written(tmp_path, "[[node]]\nname = 'a'\n"))


def test_an_unknown_fault_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "[[fault]]\nwhat = 'flood'\nat_hours = 1\n")
    with pytest.raises(CommandError, match="flood"):
        read_faults(path, ())


def test_a_fault_of_a_config_that_is_off_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "[[fault]]\nwhat = 'loss'\nat_hours = 1\nconfig = 'hex8_4p'\n")
    with pytest.raises(CommandError, match="hex8_4p is not switched on; name one of hex8_2p"):
        read_faults(path, ("hex8_2p",))


def test_the_plan_that_operators_get_has_every_kind_of_fault() -> None:
    assert {fault.what for fault in FAULTS} == set(get_args(What))


def test_a_node_may_be_reserved_in_a_fleet_file(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    node = 'name = "a"\nprovider = "p"\naccelerator = "g"\nvram_gib = 1\ncost_per_hour = 1\n'
    reserved = 'reserved_for = ["evaluation"]\n'
    for until, minute in (("", 2**53), ("reserved_until = 1970-01-01T02:00:00Z\n", 120)):
        path.write_text(f"[[node]]\n{node}{reserved}{until}")
        (found,) = read_fleet(path)
        assert found.fact.reserved_for == ("evaluation",)
        assert found.fact.reserved_until_minute == minute
