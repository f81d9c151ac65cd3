"""The corpus of traps: what mporch says of each file of `corpus/`.

To add a trap, put a file into `corpus/`; its targets may be those of `corpus/functions.py`.
`python -m tests.spec.traps` then writes `corpus/expected.txt` anew; look at what changed before
you keep it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import loads

__all__ = ["EXPECTED", "TRAPS", "expectations", "told"]

CORPUS = Path(__file__).with_name("corpus")
FUNCTIONS = CORPUS / "functions.py"
EXPECTED = CORPUS / "expected.txt"
_MACHINE = {
    r"searched: .*(?= \[MP)": "searched: …",
    r"would share .* processors?": "would share … processors",
    r"machine has .* of memory": "machine has … of memory",
}
TRAPS = tuple(sorted(CORPUS.glob("*.yaml")))


def told(trap: Path, folder: Path) -> str:
    """Return what is said of a spec as if it lay in `folder`: its problems, or its argument."""
    lines = []
    (folder / FUNCTIONS.name).write_bytes(FUNCTIONS.read_bytes())
    try:
        compiled = compile_spec(
            loads(trap.read_bytes(), name="jobs.yaml", project_dir=folder), this_machine()
        )
        lines += map(str, compiled.warnings)
        arguments = [
            dict(job.kwargs) for job in compiled.plan.jobs.values() if "value" in job.kwargs
        ]
        lines.append(f"accepted{': ' + ascii(arguments[0]['value']) if arguments else ''}")
    except SpecError as error:
        lines += map(str, error.problems)
    text = "\n".join(lines).replace("jobs.yaml:", "").replace(str(folder), "FOLDER")
    for of_this_machine, always in _MACHINE.items():
        text = re.sub(of_this_machine, always, text)
    return text.replace(sys.executable, "PYTHON")


def expectations() -> dict[str, str]:
    """Return what is to be said of each trap, by its name."""
    sections = re.split(r"^== (.+)\n", EXPECTED.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        name: text.rstrip("\n") for name, text in zip(sections[1::2], sections[2::2], strict=True)
    }


def _page() -> Iterator[str]:
    for trap in TRAPS:
        yield f"== {trap.stem}\n{told(trap, CORPUS)}\n\n"


if __name__ == "__main__":
    EXPECTED.write_text("".join(_page()), encoding="utf-8")
