"""The cache of compiled code: never stale, and compiling is reported."""

import ast
from pathlib import Path

import pytest

import ringrift
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


def test_code_runs_where_the_cache_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Compiler(tmp_path / "file" / "cache").loading("nothing"):
        assert double(1) == 2


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
