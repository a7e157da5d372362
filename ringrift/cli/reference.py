"""The page of all commands, as Markdown."""

import re

from ringrift.cli.main import FAMILIES, application

ASKS_FOR_ALL = ("--help",)
LEVELS_MAX = 3
_OVERVIEW = re.compile(r"## Table of Contents\n.*?(?=^\*\*)", re.DOTALL | re.MULTILINE)


def commands() -> str:
    """Every command with its options, from the docstrings and signatures of the functions."""
    app = application(ASKS_FOR_ALL)
    for family in FAMILIES:  # the documentation does not inherit it, other than parsing
        app[family].default_parameter = app.default_parameter
    found = app.generate_docs(recursive=True, max_heading_level=LEVELS_MAX)
    return _OVERVIEW.sub("", found.replace("# ringrift\n", "# Commands\n", 1))
