"""The cache of compiled code: never stale, and compiling is reported."""

import ast
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import ringrift
from ringrift.cluster.doctor.machine import compiled_code
from ringrift.rules import compile as compile_module
from ringrift.rules.cache import cache_folder
from ringrift.rules.compile import Compiler

PACKAGE = Path(ringrift.__file__).parent


def double(x: int) -> int:
    return 2 * x


def test_a_folder_depends_on_the_content_of_every_source(tmp_path: Path) -> None:
    sources = [tmp_path / "a.py", tmp_path / "b.py"]
    for path in sources:
        path.write_text("x = 1\n")
    compiler = Compiler(tmp_path)
    folders = {compiler.child("search", sources).folder}
    for path in sources:
        path.write_text("x = 2\n")
        folders.add(compiler.child("search", sources).folder)
    assert len(folders) == 3


def test_compiling_is_reported_and_loading_from_the_cache_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler = Compiler(tmp_path / "cache")
    for expected in ("ringrift: compiling doubles, once for this version (up to 30 s) ...\n", ""):
        function = compiler.compiled(double)
        with compiler.loading("doubles"):
            assert function(4) == 8
        assert capsys.readouterr().err == expected


def test_code_runs_where_the_cache_folder_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    compile_module._say_uncached.cache_clear()
    for folder in (tmp_path / "file" / "cache", None):
        compiler = Compiler(folder).child("search", [])
        function = compiler.compiled(double)
        with compiler.loading("doubles"):
            assert function(4) == 8
    said = capsys.readouterr().err
    assert said.count("is not cached (no folder for it can be written)") == 1


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "other": lambda path: path.write_bytes(b"no pickle"),
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_written_again(
    ending: str, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled = []
    for run in range(3):
        compiler = Compiler(tmp_path)
        function = compiler.compiled(double)
        with compiler.loading("doubles"):
            assert function(4) == 8
        compiled.append("compiling" in capsys.readouterr().err)
        if run == 0:
            (path,) = tmp_path.rglob(f"*.{ending}")
            DAMAGES[damage](path)
    assert compiled == [True, True, False]


def test_a_full_disk_costs_time_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: object, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", write)
    compile_module._say_uncached.cache_clear()
    for _ in range(2):
        assert Compiler(tmp_path).compiled(double)(4) == 8
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert cache_folder() is None
    found = compiled_code()
    assert (found.level, "no home" in found.text) == ("fail", True)


def uses(path: Path) -> tuple[set[str], bool]:
    """What a module imports of ours, and whether it uses the compiler of the rules."""
    imported: set[str] = set()
    of_rules = False
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ringrift."):
            names = {alias.name for alias in node.names}
            imported |= {f"{node.module}.{name}" for name in names}
            of_rules |= node.module == "ringrift.rules.compile" and "compiled" in names
    return imported, of_rules


def compiles(path: Path) -> set[str]:
    """The compiled functions of a module, and the module if it has any."""
    name = "ringrift." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    found = {
        f"{name}.{node.name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and any("compiled" in ast.unparse(mark) for mark in node.decorator_list)
    }
    return found | ({name} if found else set())


def test_code_compiled_like_the_rules_calls_no_compiled_code_but_theirs() -> None:
    """Its cache folder depends on no other source, so it would become stale."""
    compiled = set[str]()
    for path in PACKAGE.rglob("*.py"):
        compiled |= compiles(path) if path.parent.name != "rules" else set()
    for path in PACKAGE.rglob("*.py"):
        imported, of_rules = uses(path)
        if of_rules and path.parent.name != "rules":
            assert not imported & compiled, path


def test_a_frozen_process_that_holds_the_lock_does_not_stop_others(tmp_path: Path) -> None:
    compiler = Compiler(tmp_path / "cache")
    with compiler.loading("doubles"), compiler.loading("doubles", wait_seconds=0.0):
        assert compiler.compiled(double)(4) == 8
