"""A wheel holds everything that the program and its operators need."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ("nats.conf", "streams", "consumers", "schemas", "ops", "docs/pictures")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def files(folder: Path) -> set[Path]:
    """All files below a folder, or the file itself, without what running leaves behind."""
    if folder.is_file():
        return {folder}
    return {
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }


def wanted() -> set[str]:
    """Paths in an installation that belong to every wheel: of the package, and shared data."""
    package = {str(path.relative_to(ROOT)) for path in files(ROOT / "ringrift")}
    paths = {path for name in SHARED for path in files(ROOT / name)}
    paths |= set((ROOT / "docs").glob("*.md"))
    return package | {f"share/ringrift/{path.relative_to(ROOT)}" for path in paths}


def test_every_file_is_declared() -> None:
    setuptools = PROJECT["tool"]["setuptools"]
    declared = {str(path.relative_to(ROOT)) for path in (ROOT / "ringrift").rglob("*.py")}
    for package, patterns in setuptools["package-data"].items():
        folder = ROOT / package.replace(".", "/")
        for pattern in patterns:
            found = folder.glob(pattern if not pattern.endswith("**") else f"{pattern}/*")
            declared |= {str(path.relative_to(ROOT)) for path in found}
    for target, patterns in setuptools["data-files"].items():
        for pattern in patterns:
            declared |= {f"{target}/{path.name}" for path in ROOT.glob(pattern)}
    assert wanted() - declared == set()


def test_the_metadata_is_complete() -> None:
    project = PROJECT["project"]
    for name in ("description", "readme", "license", "license-files", "authors", "classifiers"):
        assert project[name], name
    minors = {text.rpartition(".")[2] for text in project["classifiers"] if ":: 3." in text}
    assert project["requires-python"] == f">=3.{min(minors)},<3.{int(max(minors)) + 1}"


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_every_module_compiles_on_newer_versions(version: str) -> None:
    own = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    found = [*map(str, own), *filter(None, [shutil.which(f"python{version}")])]
    if not found:
        pytest.skip(f"there is no Python {version} on this machine")
    program = (
        "import pathlib, sys; [compile(path.read_text(), path, 'exec') "
        "for path in pathlib.Path(sys.argv[1]).rglob('*.py')]"
    )
    arguments = (found[0], "-W", "error", "-X", "utf8", "-c", program, str(ROOT / "ringrift"))
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_wheel_runs_where_the_repository_is_not(tmp_path: Path) -> None:
    wheels, target = tmp_path / "wheels", tmp_path / "installed"
    build = ("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(ROOT))
    subprocess.run([sys.executable, "-m", "pip", *build], check=True, timeout=300)
    (wheel,) = wheels.iterdir()
    held = {name.partition(".data/data/")[2] or name for name in zipfile.ZipFile(wheel).namelist()}
    assert wanted() - held == set()
    install = ("install", "-q", "--no-deps", "--target", str(target), str(wheel))
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, timeout=300)
    found = subprocess.run(
        [sys.executable, "-m", "ringrift.cli.main", "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout.startswith(f"ringrift {PROJECT['project']['version']}")
