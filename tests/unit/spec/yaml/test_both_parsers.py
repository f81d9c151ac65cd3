"""PyYAML's parsers, in C and in Python, word their errors differently: the answer is the same."""

import pytest
import yaml

from orchestrator.spec.yaml import parser as events
from orchestrator.spec.yaml.composer import Composer
from orchestrator.spec.yaml.parser import SyntaxFlaw

BROKEN = [
    "a: b: c\n",
    "a: - b\n",
    "a\nb: c\n",
    "a: 1\n...\nb: 2\n",
    "a: *\n",
    "a: |x\n  b\n",
    "a: >\n  b\n c: |9x\n",
    'a: "\\q"\n',
    'a: "\\xZZ"\n',
    'a: "\\u12"\n',
    'a: "\\U0000"\n',
    'a: "\\UFFFFFFFF"\n',
    'a: "\\U00110000"\n',
    "a: 1\n  b: 2\n",
    "a:\n  b: 1\n c: 2\n",
    "- a\n- b\nc: 1\n",
    "- a\n b\n- c\n[d]\n",
    "a: [b c: {]\n",
    "a: [b\n",
    "a: [b}\n",
    "a: {b, c]\n",
    "a: }\n",
    "a: ]\n",
    "a: ,\n",
    "a: {b: ]}\n",
    "a: 'b\n",
    'a: "b\n',
    "a: @b\n",
    "a: `b`\n",
    "a: %b\n",
    "\ta: 1\n",
    "a:\n\t- b\n",
    "a: {b: ${C}}\n",
    "<<<<<<< ours\na: 1\n",
    "%YAML 2.0\n---\na: 1\n",
]


def answer(text):
    with pytest.raises(SyntaxFlaw) as caught:
        Composer().compose(text)
    flaw = caught.value.flaw
    return flaw.rule.code, flaw.position.line, flaw.message, flaw.hint


@pytest.mark.parametrize("text", BROKEN)
def test_broken_text_is_told_in_the_same_words_whichever_parser_finds_it(text, monkeypatch):
    monkeypatch.setattr(events, "_LOADER", yaml.CSafeLoader)
    of_c = answer(text)
    monkeypatch.setattr(events, "_LOADER", yaml.SafeLoader)
    assert answer(text) == of_c
