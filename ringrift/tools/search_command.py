"""`ringrift search check`: the search kernel against files of reference cases."""

from __future__ import annotations

import argparse

from ringrift.tools.search_check import search_check_main


def check(options: argparse.Namespace) -> int:
    """Run the cases; 0 only if there were any and none fails."""
    return search_check_main(options.files)
