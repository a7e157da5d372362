"""Patterns of strings, and what they mean in words: the message about a value that does not match
shows the words."""

from msgspec import Meta

_WORDS: dict[str, str] = {}
"""words by pattern"""


def matching(pattern: str, words: str) -> Meta:
    """A string that matches `pattern` from its first to its last character: `$` alone would allow a
    newline. `words` describe such a string."""
    whole = rf"^{pattern}$(?!\n)"
    _WORDS[whole] = words
    return Meta(pattern=whole)


def words_for(pattern: str) -> str:
    """What a string that matches a pattern made by `matching` is, in words."""
    return _WORDS[pattern]


def in_words(message: object) -> str:
    """A message of msgspec with words in place of the pattern that a string does not match, and of
    the type `bool`."""
    text = str(message).replace("Expected `bool`, got `str`", "Expected true or false")
    for pattern, words in _WORDS.items():
        text = text.replace(f"`str` matching regex {pattern!r}", words)
    return text
