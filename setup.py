"""The build of mporch: setup.cfg is the metadata, this compiles modules with mypyc if it can.

`MPORCH_BUILD` is `full`, `default` or `pure`. Without it the build of a source distribution is
`full`, so wheels hold all of it; that of a tree is `default`, an editable one `pure`. What fails
costs one line of warning, and leaves the package as it is: pure Python.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
COMPILED = runpy.run_path(str(HERE / "orchestrator" / "compiled.py"))
CODE_COMMANDS = {"bdist_wheel", "build", "build_ext", "editable_wheel", "install"}
"""The others ask for metadata."""
reasons: list[str] = []
"""Why nothing is compiled."""


def warn(reason: str) -> None:
    """Say in one line that this will be pure Python."""
    reasons.append(reason)
    print(f"mporch: warning: not compiled, so pure Python: {reason}", file=sys.stderr)


def extensions() -> list[Extension]:
    """Translate the modules to C; none if that is not wanted, or cannot be."""
    form = os.environ.get("MPORCH_BUILD") or ("full" if (HERE / "PKG-INFO").exists() else "default")
    if form == "pure" or not CODE_COMMANDS.intersection(sys.argv):
        return []
    if form not in ("full", "default"):
        warn(f"MPORCH_BUILD may be full, default or pure, and is {form!r}")
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        warn("there is no mypy, or no C compiler")
        return []
    sources = [name.replace(".", "/") + ".py" for name in COMPILED[form.upper()]]
    core = [source for source in sources if "/core/" in source]
    others = [source for source in sources if source not in core]
    # Follow imports, of which a build has not all, and say nothing of them.
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    try:
        with silence():  # two groups are two files, for two compilers
            return mypycify(
                [*options, "--cache-dir=build/mypy", *sources],
                opt_level="2" if form == "full" else "g",
                debug_level="0",
                separate=[(core, "orchestrator.core"), (others, "orchestrator.others")],
            )
    except (Exception, SystemExit) as error:
        warn(f"mypyc fails: {type(error).__name__}: {error}")
        return []


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Let nothing through to descriptors 1 and 2, of compilers neither."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for fd in (null, *kept):
            os.close(fd)


class BuildPy(build_py):
    """Python modules, and why they are not compiled, if they were to be."""

    def run(self) -> None:
        """Copy the modules to a place where no earlier build has left any."""
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib, "orchestrator"), ignore_errors=True)
        super().run()
        if not self.editable_mode:
            note(self.build_lib)


class BuildExt(build_ext):
    """All extension modules or none: a mixture is no form that anybody has tested."""

    def finalize_options(self) -> None:
        """Compile as many files at a time as there are processors."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self) -> None:
        """Compile the groups, and beside them not each module's shim, but one file of many.

        A shim does nothing but ask its group for the module; compiling one takes half a second. A
        copy of the file serves each module whose function to begin with it has.
        """
        groups = [each for each in self.extensions if each.name.endswith("__mypyc")]
        shims = [each for each in self.extensions if each not in groups]
        shared: list[dict[str, Extension]] = []  # by the last part of a module's name
        for shim in shims:
            name = shim.name.rpartition(".")[2]
            if (files := next((files for files in shared if name not in files), None)) is None:
                shared.append(files := {})
            files[name] = shim
        for at, files in enumerate(shared):
            self.mkpath(self.build_temp)
            source = Path(self.build_temp, f"shims_{at}.c")
            texts = [Path(shim.sources[0]).read_text(encoding="utf-8") for shim in files.values()]
            unique = [text.replace("PyInit___init__", f"init_{n}") for n, text in enumerate(texts)]
            source.write_text("\n".join(unique), encoding="utf-8")
            next(iter(files.values())).sources = [str(source)]
        self.extensions = groups + [next(iter(files.values())) for files in shared]
        super().build_extensions()
        for files in shared:
            first, *others = [self.get_ext_fullpath(shim.name) for shim in files.values()]
            for path in others:
                self.mkpath(str(Path(path).parent))
                self.copy_file(first, path)
        self.extensions = groups + shims

    def run(self) -> None:
        """Compile, in silence."""
        try:
            with silence():
                super().run()
        except (Exception, SystemExit) as error:
            name = getattr(self.compiler, "compiler_so", ["cc"])[0]
            warn(f"the C compiler ({name}) fails: {type(error).__name__}")
            remove_extensions(self.build_lib)
            self.extensions = self.distribution.ext_modules = []
            if not self.inplace:
                note(self.build_lib)


def remove_extensions(build_lib: str) -> None:
    """Remove what a build of another form has left, or one that has failed."""
    for path in Path(build_lib, "orchestrator").rglob("*.so"):
        path.unlink()


def note(build_lib: str) -> None:
    """Write into the package why it is not compiled."""
    path = Path(build_lib, "orchestrator", COMPILED["NOT_COMPILED"])
    path.unlink(missing_ok=True)
    if reasons:
        path.write_text(reasons[0] + "\n", encoding="utf-8")


setup(ext_modules=extensions(), cmdclass={"build_py": BuildPy, "build_ext": BuildExt})
