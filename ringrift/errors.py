"""The error of the commands themselves; those of the log and of events have their own trees.

CommandError    what was asked for cannot be done; the text says why and what to do instead
"""


class CommandError(Exception):
    """What was asked for cannot be done; the text is for the person who asked."""
