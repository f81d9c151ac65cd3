"""Files that hold the code of a spec's targets, watched for changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.plan.targets import TargetFormError, Targets, parse_target
from orchestrator.spec import LoadedSpec

__all__ = ["Code", "code_of"]


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
