"""The examples of CONTRIBUTING.md work as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATH = re.compile(r"`((?:ringrift|tests)/[\w/]+\.py)`")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TESTS = ("tests/unit/events/test_facts.py", "tests/unit/runtime/test_processes.py")
COPIED = ("ringrift", "tests/support", "tests/unit/deciders/conftest.py", "pyproject.toml", *TESTS)
DECIDER_TEST = "tests/unit/deciders/test_losses.py"
EXPORT = """
import sys
from pathlib import Path
from ringrift.insight.process_tables import tables
from ringrift.server import contract
root = Path(sys.argv[1])
print(*contract.export(root, tables()), sep="\\n")
"""


def examples() -> list[tuple[str, str]]:
    """Path and content of every code block, in order; the path is the last one named before it."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    found = []
    for block in BLOCK.finditer(text):
        paths = PATH.findall(text[: block.start()])
        found.append((paths[-1], block[1]))
    return found


def apply(root: Path, path: str, code: str) -> None:
    """Create the file, append a class to it, or insert the code below its first line."""
    target = root / path
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(code)
        return
    text = target.read_text()
    if code.startswith("class "):
        target.write_text(f"{text}\n\n{code}")
        return
    anchor, _, inserted = code.partition("\n")
    assert anchor in text, f"{path} has no line {anchor!r}"
    before, _, after = text.rpartition(anchor + "\n")
    target.write_text(f"{before}{anchor}\n{inserted}{after}")


def run(root: Path, *arguments: str) -> str:
    found = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_the_examples_work(tmp_path: Path) -> None:
    for name in COPIED:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    for path, code in examples():
        apply(tmp_path, path, code)
    changed = run(tmp_path, "-c", EXPORT, str(tmp_path)).splitlines()
    assert "schemas/SelfplayLossesDetected.v1.json" in changed
    run(tmp_path, "-m", "ringrift.consumers.reporter", "--help")
    options = ("-q", "-p", "no:cacheprovider", "-k", "not on_purpose")
    run(tmp_path, "-m", "pytest", *options, DECIDER_TEST, *TESTS)
