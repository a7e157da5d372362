"""Text that anybody may have written, made safe to show: characters that a terminal acts on, and
those that are invisible or reorder text, become escapes."""

import json


def visible(text: str, keep: str = "") -> str:
    r"""`text` with control characters, bidirectional marks and other characters that cannot be
    printed as escapes such as `\u001b`, except those in `keep`. JSON keeps its meaning."""
    if text.isprintable():
        return text
    shown = (
        each if each.isprintable() or each in keep else json.dumps(each)[1:-1] for each in text
    )
    return "".join(shown)
