"""Hooks of the docs site: pages that are written from the code when the site is built, and pages
that live elsewhere in the repository."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ringrift.cli.reference import commands
from ringrift.insight import reference, rights
from ringrift.legacy import words

ROOT = Path(__file__).parents[2]
PYTHON = """# Python

::: ringrift.api
    options: {members: true, show_submodules: false}

## Environments

Both adapters need the extra `ringrift[env]`.

::: ringrift.api.pettingzoo_env
    options: {heading_level: 3, show_root_heading: true}

::: ringrift.api.openspiel
    options: {heading_level: 3, show_root_heading: true}

::: ringrift.api.steps
    options: {heading_level: 3, show_root_heading: true}

## Positions and records

::: ringrift.rules.Position

::: ringrift.rules.Record
"""
WRITTEN = {
    "reference/commands.md": commands,
    "reference/settings.md": reference.settings,
    "reference/events.md": reference.events,
    "reference/processes.md": reference.processes,
    "reference/rights.md": rights.page,
    "reference/metrics.md": reference.metrics,
    "reference/python.md": lambda: PYTHON,
    "reference/old_system.md": words.page,
    "ops.md": (ROOT / "ops/README.md").read_text,
    "contributing.md": (ROOT / "CONTRIBUTING.md").read_text,
}
"""Content of each page by its path in the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the written pages to those of the folder."""
    for path, content in WRITTEN.items():
        files.append(File.generated(config, path, content=content()))
    return files
