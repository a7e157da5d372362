"""`ringrift parity check` and `ringrift search check`: the program against reference results."""

import sys
from pathlib import Path

from ringrift.cli.common import progress

EXIT_FAILED, EXIT_UNUSABLE = 1, 2


def parity(*files: Path) -> int:
    """Compare the rules with recorded games of the reference engine.

    The exit status is 0 if something was checked and nothing differs, 2 if a file cannot be read.

    Args:
        files: Traces, plain or compressed with gzip.
    """
    from ringrift.tools.parity.check import check
    from ringrift.trust.traces.lines import TraceError

    try:
        with progress("traces checked") as checked:
            report = check(files, checked)
    except TraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    if report.first is not None:
        print(report.first)
    if report.positions:
        print(f"end positions={report.positions}")
    print(report)
    return 0 if report.passed else EXIT_FAILED


def search(*files: Path) -> int:
    """Compare the search with reference cases.

    The exit status is 0 if there were cases and none failed, 2 if a file cannot be used.

    Args:
        files: Files of cases, JSON.
    """
    from ringrift.tools.search_check.check import check

    report = check(files)
    for mismatch in report.mismatches:
        print(mismatch)
    for error in report.unusable:
        print(f"error: {error}", file=sys.stderr)
    print(report)
    if report.unusable:
        return EXIT_UNUSABLE
    return 0 if report.passed else EXIT_FAILED
