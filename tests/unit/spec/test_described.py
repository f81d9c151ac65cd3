"""Each key of the spec, and each word that a key may have, is described by a page of docs/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.spec.model import Document, JobSpec
from orchestrator.spec.parts import Matrix
from orchestrator.spec.schema import spec_schema
from orchestrator.spec.words.keys import MAPPINGS

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [path.read_text("utf-8") for path in DOCS.glob("*.md") if path.name != "rules.md"]
"""All but the one that is made of the rules: it may name a key that nothing describes."""
SCHEMA = spec_schema()
MODELS = {**MAPPINGS, "matrix": Matrix}
OF_A_CASE = frozenset({"case", "given", "expect", "expected", "kill"})
"""Named without what they stand in: docs/testing.md is about nothing else."""


def blocks_of(page: str) -> Iterator[frozenset[str]]:
    """The words in code of each row of a table, paragraph and point of a list; those above it."""
    text = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    title = head = ""
    for block in re.split(r"\n\s*\n|\n(?=[|-] ?)", text):
        if block.lstrip().startswith("#"):
            title = block.lower()
        if not (head and block.startswith("|")):
            head = block if block.startswith("|") else ""
        code = " ".join([title, *re.findall(r"`([^`]+)`", head + block.replace("``", ""))])
        yield frozenset(re.findall(r"[A-Za-z_][\w-]*", code))


BLOCKS = [words for page in PAGES for words in blocks_of(page)]
KEYS = [(name, key) for name, model in MODELS.items() for key in model.model_fields]


def words_within(schema: Any) -> Iterator[str]:
    """The words that a value may be, of all its forms."""
    if isinstance(schema, dict):
        yield from (each for each in schema.get("enum", ()) if isinstance(each, str))
        if isinstance(schema.get("const"), str):
            yield schema["const"]
        for key, inner in schema.items():
            if key not in ("examples", "default", "properties"):
                yield from words_within(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from words_within(inner)


def properties_of(mapping: str) -> dict[str, Any]:
    model = MODELS[mapping]
    return (SCHEMA if model is Document else SCHEMA["$defs"][model.__name__.removesuffix("Spec")])[
        "properties"
    ]


WORDS = [
    (key, word)
    for mapping, key in KEYS
    for word in dict.fromkeys(words_within(properties_of(mapping)[key]))
]


def is_described(*words: str) -> bool:
    return any(block.issuperset(words) for block in BLOCKS)


def test_the_pages_are_read():
    assert len(BLOCKS) > 1_000
    assert len(KEYS) > 80
    assert ("when_full", "drop_oldest") in WORDS and ("after", "ready") in WORDS
    assert not is_described("when_full", "sample_of_nothing")


@pytest.mark.parametrize(("mapping", "key"), KEYS)
def test_a_key_is_described_with_the_mapping_it_stands_in(mapping, key):
    alone = MODELS[mapping] is Document or issubclass(MODELS[mapping], JobSpec.__base__)
    within = () if alone or mapping in OF_A_CASE else (mapping,)
    assert is_described(key, *within)


@pytest.mark.parametrize(("key", "word"), WORDS)
def test_a_word_is_described_with_its_key(key, word):
    assert is_described(key, word)
