"""What is told from the text of the standard library is what `inspect` says of it once imported."""

import importlib
import inspect

import pytest

from orchestrator.targets.lookup import Targets

MODULES = [
    "argparse", "ast", "asyncio.base_events", "base64", "bdb", "calendar", "cmd", "codecs",
    "configparser", "contextlib", "copy", "csv", "dataclasses", "difflib", "dis", "doctest",
    "email.message", "fileinput", "fractions", "functools", "gettext", "graphlib", "heapq",
    "html.parser", "http.client", "http.server", "importlib.metadata", "inspect", "ipaddress",
    "json", "json.decoder", "logging", "logging.handlers", "mailbox", "mimetypes",
    "multiprocessing.queues", "pathlib", "pdb", "pickle", "plistlib", "pprint", "queue", "random",
    "sched", "shutil", "smtplib", "socketserver", "statistics", "string", "subprocess", "tarfile",
    "tempfile", "textwrap", "threading", "tokenize", "trace", "traceback", "unittest.case",
    "unittest.mock", "urllib.parse", "urllib.request", "uuid", "weakref", "xml.dom.minidom",
    "xml.etree.ElementTree", "zipfile",
]  # fmt: skip


def parameters(signature):
    return [(p.name, p.kind, p.default is not p.empty) for p in signature.parameters.values()]


def method_of(kind, name):
    return next((vars(each)[name] for each in kind.__mro__ if name in vars(each)), None)


@pytest.fixture(scope="module")
def targets():
    return Targets([])


def compared(callee, found):
    """Yield what was told and what is, of each part that was told."""
    if not inspect.isclass(found):
        yield callee.call, inspect.signature(found)  # also that of what a decorator wraps
        return
    if callee.make is not None:
        yield callee.make, inspect.signature(found)
    call = method_of(found, "__call__")
    assert (call is None) or not callee.is_never_called
    if callee.call is not None:
        own = inspect.signature(call)
        yield callee.call, own.replace(parameters=list(own.parameters.values())[1:])


@pytest.mark.parametrize("name", MODULES)
def test_a_signature_that_is_told_is_the_one_there_is(targets, name):
    module = importlib.import_module(name)
    for attribute, found in list(vars(module).items()):
        callee = targets.look_up(f"{name}:{attribute}").callee
        if callee is None or not callable(found):
            continue
        for part, signature in compared(callee, found):
            assert parameters(part.signature) == parameters(signature), attribute


def test_enough_is_told_to_be_worth_it(targets):
    told = [
        targets.look_up(f"{name}:{attribute}").callee
        for name in MODULES
        for attribute, found in vars(importlib.import_module(name)).items()
        if inspect.isfunction(found)
    ]
    assert sum(each is not None for each in told) > len(told) / 2
