"""Every CPython of this machine that a setup.cfg allows, but 3.11: a line of version and path each.

Looked for on PATH and among pyenv's. A version that setup.cfg names and that is not found is a line
with `missing`. Free-threaded builds are left out: mporch refuses them.
"""

import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ASK = """
import sys
if sys.implementation.name == "cpython" and "t" not in sys.abiflags:
    print(sys.version_info.minor, sys.executable)
"""


def folders() -> Iterator[Path]:
    """Yield where interpreters may lie."""
    for name in os.environ["PATH"].split(os.pathsep):
        yield Path(name)
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True)
        yield from sorted(Path(root.stdout.strip(), "versions").glob("*/bin"))


def pythons() -> dict[int, str]:
    """Return the first interpreter that is found of each minor version."""
    found: dict[int, str] = {}
    for folder in folders():
        for path in folder.glob("python3.*"):
            if not re.fullmatch(r"python3\.\d+", path.name):
                continue
            # A shim of pyenv whose version is not chosen ends with an error.
            told = subprocess.run([path, "-c", ASK], capture_output=True, text=True, check=False)
            if told.returncode == 0 and told.stdout:
                minor, executable = told.stdout.strip().split(" ", 1)
                found.setdefault(int(minor), executable)
    return found


def main() -> None:
    """Print what is found, and what is missing."""
    parser = configparser.ConfigParser()
    parser.read(sys.argv[1])
    classifiers = parser["metadata"]["classifiers"]
    named = {int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", classifiers)}
    found = pythons()
    for minor in sorted(named | found.keys()):
        if minor > min(named):
            print(f"3.{minor}", found.get(minor, "missing"))


if __name__ == "__main__":
    main()
