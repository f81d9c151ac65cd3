"""Messages of the YAML parser about broken text, in the words of someone who writes YAML."""

from __future__ import annotations

from orchestrator.spec.yaml.nodes import Position

__all__ = ["syntax_words"]

_WORDS = (
    (
        "mapping values are not allowed",
        'a ": " cannot stand here',
        'put text that holds ": " in quotes; or is a colon missing in the line above?',
    ),
    ("sequence entries are not", 'a "- " cannot stand here', "begin the list on a new line"),
    (
        "could not find expected ':'",
        "a line without a colon, where a key stands",
        "is a colon missing, or a quote open?",
    ),
    ("found unexpected ':'", "a colon in the middle of a word", "put a space after the colon"),
    (
        ("expected <document start>", "expected '<document start>'"),
        "something follows the end of the document",
        "remove it, or the line above that ends the document",
    ),
    (
        "expected alphabetic or numeric",
        "* begins an alias, and & an anchor: a name follows at once",
        "put text that begins so in quotes",
    ),
    (
        (
            "expected comment or line break",
            "expected a comment or a line break",
            "expected chomping or indentation",
        ),
        "after | or > the text begins on the next line",
        "begin a new line, or put the text in quotes",
    ),
    (
        "unknown escape character",
        "no such escape: in double quotes a backslash begins one",
        "write two backslashes, or use single quotes",
    ),
    (
        ("expected hexdecimal number", "hexadecimal numbers"),
        "an escape that lacks digits: \\x has two, \\u four and \\U eight",
        "write two backslashes, or use single quotes",
    ),
    ("unknown directive", "a line that begins with % and is no directive", "remove it"),
    (
        ("did not find expected key", "parsing a block mapping: expected <block end>"),
        "expected a key",
        "the indentation, a quote or a bracket does not fit; the mapping began at {opened}",
    ),
    (
        (
            "did not find expected '-' indicator",
            "parsing a block collection: expected <block end>",
        ),
        'expected "- "',
        "the indentation does not fit; the list began at {opened}",
    ),
    (
        "expected ',' or",
        "expected a comma or the end of the bracket",
        "is the bracket closed that was opened at {opened}?",
    ),
    (
        ("did not find expected node content", "expected the node content"),
        "expected a value",
        "is a bracket never closed, or text without quotes that needs them?",
    ),
)
"""Part of what the parser says, in C or in Python, what to say instead, and how to mend it."""


def syntax_words(problem: str, opened: Position) -> tuple[str, str]:
    """Return a message and a hint for `problem`; `opened` is where what is broken began."""
    for parts, message, hint in _WORDS:
        if any(part in problem for part in ([parts] if isinstance(parts, str) else parts)):
            return message, hint.format(opened=f"{opened.line}:{opened.column}")
    return problem, ""
