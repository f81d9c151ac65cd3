"""Code of targets: the files to watch for changes, and the versions of what they do."""

from __future__ import annotations

import ast
import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

from orchestrator.spec import LoadedSpec
from orchestrator.targets.lookup import Targets
from orchestrator.targets.target import TargetFormError, parse_target

__all__ = ["Code", "code_of", "is_version", "version_of"]

_OF_CODE = "code:"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class Code:
    """Files by name, and folders of which every Python file counts. Absolute paths."""

    files: frozenset[Path] = frozenset()
    folders: frozenset[Path] = frozenset()

    def __or__(self, other: Code) -> Code:
        return Code(files=self.files | other.files, folders=self.folders | other.folders)

    @property
    def places(self) -> frozenset[Path]:
        """The folders that all of it lies in."""
        return self.folders | {file.parent for file in self.files}

    def __contains__(self, path: Path) -> bool:
        return path in self.files or (path.suffix == ".py" and path.parent in self.folders)


def code_of(spec: LoadedSpec) -> Code:
    """Return the files of the targets, and the folders they and the Python path are.

    Runs nothing; a target that cannot be found, or read, may come to be in one of the folders.
    """
    entries = [str(spec.project_dir / entry) for entry in spec.document.pythonpath]
    targets, files = Targets(entries), set[Path]()
    for job in spec.document.jobs.values():
        try:
            module = parse_target(job.target).module
        except TargetFormError:
            continue
        if file := targets.file(module):
            files.add(file)
    folders = {Path(entry) for entry in entries} | {file.parent for file in files}
    return Code(files=frozenset(files), folders=frozenset(folders))


# Versions of code are told apart by what it does: not by comments, docstrings and layout.


def version_of(text: bytes) -> str:
    """Return a digest of what Python reads in a module's text; empty if there is none.

    A text that is no Python is told apart by its bytes.
    """
    if not text:
        return ""
    try:
        return _OF_CODE + _digest(_code_of(text).encode("utf-8", "surrogatepass"))
    except _UNREADABLE:
        return _digest(text)


def is_version(text: bytes, before: str) -> bool:
    """True if `before` is the version of this text; older runs have kept one of its bytes."""
    if before and not before.startswith(_OF_CODE):
        return before == _digest(text)
    return before == version_of(text)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _code_of(text: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in the user's texts
        tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        elif isinstance(node, ast.Constant):
            node.kind = None  # whether it was written with a u
    return ast.dump(tree)
