"""The build backend: setuptools, which is given mypy where that can be had and there is a compiler.

A requirement in pyproject.toml would end an installation where it cannot be had, though pure Python
is all that would be lost. So the installer is asked first, with the options it was itself given.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401 - hooks as they are
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

MYPY = "mypy[mypyc]>=2.4,<3"
INDEX_OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--trusted-host", "--proxy")
SHORT = {"--index-url": "-i", "--find-links": "-f"}


def get_requires_for_build_wheel(config_settings: dict | None = None) -> list[str]:
    """Return mypy, if this will compile."""
    compiles = os.environ.get("MPORCH_BUILD") != "pure"
    return build_meta.get_requires_for_build_wheel(config_settings) + (mypy() if compiles else [])


def get_requires_for_build_editable(config_settings: dict | None = None) -> list[str]:
    """Return mypy, if who develops has asked for a compiled form."""
    compiles = os.environ.get("MPORCH_BUILD", "pure") != "pure"
    found = build_meta.get_requires_for_build_editable(config_settings)
    return found + (mypy() if compiles else [])


def build_editable(
    wheel_directory: str,
    config_settings: dict | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build one that follows the tree: pure, since extension modules would hide what is edited."""
    os.environ.setdefault("MPORCH_BUILD", "pure")
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def mypy() -> list[str]:
    """Return the requirement, unless it would be for nothing, or cannot be had."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    header = Path(sysconfig.get_path("include"), "Python.h")
    if shutil.which(compiler) is None or not header.is_file():
        return []
    pip = [sys.executable, "-I", "-m", "pip"]  # not that of the build: it has none
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        return [MYPY]  # an installer of another kind; it has found setuptools where it looks
    ask = ["install", "--dry-run", "--ignore-installed", "--no-input", "--retries=0", "--timeout=5"]
    options, folder = options_of_pip()
    told = subprocess.run(
        [*pip, *ask, *options, MYPY], cwd=folder, capture_output=True, check=False
    )
    return [MYPY] if told.returncode == 0 else []


def options_of_pip() -> tuple[list[str], str | None]:
    """Return where the pip that runs this looks for packages, and its working directory."""
    caller = Path("/proc", str(os.getppid()))
    try:
        words = os.fsdecode((caller / "cmdline").read_bytes()).split("\0")
        folder = str((caller / "cwd").readlink())
    except OSError:
        return [], None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--no-index", action="store_true")
    for name in INDEX_OPTIONS:
        names = [name, SHORT[name]] if name in SHORT else [name]
        parser.add_argument(*names, dest=name, action="append", default=[])
    try:
        given = vars(parser.parse_known_args(words)[0])
    except (argparse.ArgumentError, SystemExit):
        return [], None
    options = [f"{name}={value}" for name in INDEX_OPTIONS for value in given[name]]
    return options + (["--no-index"] if given["no_index"] else []), folder
