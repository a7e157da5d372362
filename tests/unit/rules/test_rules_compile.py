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
    """Modules of ours that a module imports, and whether it uses the compiler of the rules."""
    modules: set[str] = set()
    of_rules = False
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ringrift."):
            names = {alias.name for alias in node.names}
            modules |= {str(node.module), *(f"{node.module}.{name}" for name in names)}
            of_rules |= node.module == "ringrift.rules.compile" and "compiled" in names
    return modules, of_rules


def test_code_compiled_like_the_rules_calls_no_compiled_code_but_theirs() -> None:
    """Its cache folder depends on no other source, so it would become stale."""
    compiling = {
        "ringrift." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if "@compiled" in path.read_text() and path.parent.name != "rules"
    }
    for path in PACKAGE.rglob("*.py"):
        modules, of_rules = uses(path)
        if of_rules and path.parent.name != "rules":
            assert not modules & compiling, path
