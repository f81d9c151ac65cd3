"""Run directories: one for each run, private, named so that they sort by time.

`.mporch/runs/<id>/` lies in the project folder; MPORCH_HOME replaces `.mporch`.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from orchestrator.core.reporting import Summary
from orchestrator.errors import DamagedStoreError, RunDirectoryError
from orchestrator.files import open_directory, open_new, open_regular, with_home
from orchestrator.plan.model import Plan, Versions
from orchestrator.plan.redact import masked
from orchestrator.runlog.alive import holder, is_locked
from orchestrator.runlog.owners import Role, User, current_user, require

__all__ = ["LOG_NAME", "PLAN_NAME", "RunDirectory", "create", "home_of", "make_home"]

LOG_NAME = "log.jsonl"
_SPEC_NAME = "spec.yaml"
_MOST_SPEC_BYTES = 1 << 26
"""A spec has 1 MiB at most; one that was put together of several files has some more."""
PLAN_NAME = "plan.json"
_SUMMARY_NAME = "summary.json"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"

T = TypeVar("T")


class RunDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """The directory of one run. Files in it are private, and links in it are never followed.

    `given`: the user has named it by its path. `fd` is open where what is in it is to be run: what
    is read and written then stays in it, whatever its path becomes.
    """

    run_id: str
    path: Path
    given: bool = False
    fd: int | None = None

    @property
    def log_path(self) -> Path:
        """Return where the run's log is."""
        return self.path / LOG_NAME

    @property
    def spec_path(self) -> Path:
        """Return where the spec is kept as it was read."""
        return self.path / _SPEC_NAME

    @property
    def is_alive(self) -> bool:
        """True if the run is still going on: its log is locked by its writer."""
        return is_locked(self.log_path)

    @property
    def pid(self) -> int | None:
        """The process that writes the log; None if the run is over, or the kernel does not tell."""
        try:
            fd = open_regular(self.log_path, os.O_RDONLY)
        except OSError:
            return None
        try:
            return holder(fd)
        finally:
            os.close(fd)

    @property
    def is_in_place(self) -> bool:
        """True if the directory that is open is still the one at its path."""
        try:
            return self.fd is None or os.path.samestat(self.path.stat(), os.fstat(self.fd))
        except OSError:
            return False

    def write_spec(self, text: str) -> None:
        """Keep the spec as it was read; raises RunDirectoryError, as do the other writes."""
        self._write(_SPEC_NAME, text.encode("utf-8", "surrogateescape"))

    def write_plan(
        self,
        plan: Plan,
        environment: Mapping[str, str | None] | None = None,
        versions: Versions | None = None,
    ) -> None:
        """Keep the plan without its secrets; of the environment, its `fingerprints`."""
        kept = msgspec.structs.replace(masked(plan), environment=environment or {})
        beside = msgspec.to_builtins(versions) if versions is not None else {}
        self._write(PLAN_NAME, _pretty(msgspec.to_builtins(kept) | beside))

    def write_summary(self, summary: Summary) -> None:
        """Keep the summary; it is there as a whole or not at all."""
        self._write(_SUMMARY_NAME, _pretty(summary))

    def drop_summary(self) -> None:
        """Forget how the run has ended: it goes on. Raises RunDirectoryError."""
        try:
            with self._opened() as here:
                os.unlink(_SUMMARY_NAME, dir_fd=here)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunDirectoryError.of(self.path / _SUMMARY_NAME, error) from error

    def read_spec(self) -> bytes:
        """Return the spec as it was kept. Raises DamagedStoreError if it is gone, or no file."""
        try:
            with self._opened(follow=True) as here:
                fd = open_regular(_SPEC_NAME, os.O_RDONLY, dir_fd=here)
                with os.fdopen(fd, "rb") as file:
                    return file.read(_MOST_SPEC_BYTES)
        except OSError as error:
            message = f"cannot read {self.spec_path}: {error.strerror}"
            raise DamagedStoreError(message, hint="run the spec anew") from error

    def spec_is(self, file: Path) -> bool:
        """True if a file says what the spec that was kept says. Raises DamagedStoreError, as above.

        Comments, layout and quotes may be others: see `means_same`.
        """
        from orchestrator.spec.yaml.composer import means_same  # noqa: PLC0415 -- brings the YAML parser

        kept = self.read_spec()
        try:
            return means_same(kept, file.read_bytes())
        except OSError:
            return False

    def read_plan(self) -> Plan | None:
        """Return the plan as it was kept; None if there is none that can be read.

        It is not to be run: its secrets are masked.
        """
        return self._read(PLAN_NAME, Plan)

    def read_versions(self) -> Versions:
        """Return what is kept beside the plan; nothing where there is none that can be read."""
        return self._read(PLAN_NAME, Versions) or Versions()

    def read_summary(self) -> Summary | None:
        """Return the summary; None if there is none that can be read: the run goes on, or died."""
        return self._read(_SUMMARY_NAME, Summary)

    def _write(self, name: str, data: bytes) -> None:
        draft = f".{name}.draft"
        try:
            with self._opened() as here:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(draft, dir_fd=here)
                with os.fdopen(open_new(draft, dir_fd=here), "wb") as file:
                    file.write(data)
                os.replace(draft, name, src_dir_fd=here, dst_dir_fd=here)
        except OSError as error:
            raise RunDirectoryError.of(self.path / name, error) from error

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            with self._opened(follow=True) as here:
                fd = open_regular(name, os.O_RDONLY, dir_fd=here)
                with os.fdopen(fd, "rb") as file:
                    return msgspec.convert(json.loads(file.read()), type=kind)
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def _opened(self, *, follow: bool = False) -> Iterator[int]:
        """Its descriptor. Raises OSError, for a link, too, unless it is to be followed."""
        if self.fd is not None:
            yield self.fd
            return
        with open_directory(self.path, follow=follow) as here:
            yield here


def home_of(project_dir: Path, environ: Mapping[str, str]) -> Path:
    """Return the folder that holds the runs of a project: MPORCH_HOME, or its `.mporch`."""
    chosen = environ.get("MPORCH_HOME")
    return with_home(chosen).absolute() if chosen else project_dir / ".mporch"


def create(
    home: Path,
    run_dir: Path | None = None,
    *,
    now: float | None = None,
    user: User | None = None,
) -> RunDirectory:
    """Make the directory of a new run: `run_dir`, which is new or empty, or one under `home`.

    `now` is Unix time in seconds. Raises RunDirectoryError, and UsageError if what is there already
    is not the `user`'s.
    """
    micros = int((time.time() if now is None else now) * 1_000_000)
    user = current_user(os.environ) if user is None else user
    path = run_dir
    try:
        if run_dir is None:
            path = home / "runs"
            make_home(home, user)
            return _make_next(path, micros, user)
        path = Path(os.path.realpath(run_dir))  # links on the way to it are the user's own
        return _adopt(path, micros, user)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise RunDirectoryError(
            f"cannot make the run directory {path}: {reason}",
            hint="--run-dir DIR or MPORCH_HOME choose another place",
        ) from error


def make_home(home: Path, user: User | None = None) -> None:
    """Make the folder that holds a project's runs, if it is not there.

    Raises OSError, and UsageError if it is not the `user`'s.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    with open_directory(home, follow=True) as here:
        require(here, home, Role.HOLDER, user or current_user(os.environ))
        with contextlib.suppress(FileExistsError):
            os.mkdir("runs", 0o700, dir_fd=here)
        with (
            contextlib.suppress(FileExistsError),
            os.fdopen(open_new(".gitignore", dir_fd=here), "w") as file,
        ):
            file.write("*\n")


def _make_next(runs: Path, micros: int, user: User) -> RunDirectory:
    """Make the directory of the first free id from `micros` on."""
    with open_directory(runs, follow=True) as here:
        require(here, runs, Role.HOLDER, user)
        while True:
            run_id = _run_id(micros)
            try:
                os.mkdir(run_id, 0o700, dir_fd=here)
            except FileExistsError:
                micros += 1
            else:
                return RunDirectory(run_id=run_id, path=runs / run_id)


def _adopt(path: Path, micros: int, user: User) -> RunDirectory:
    """Take a directory the user has named, and make it private."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    with open_directory(path) as here:
        _require_empty(here, path)
        require(here, path, Role.TAKEN, user)
        with contextlib.suppress(PermissionError):  # root's, say; then it must be private already
            os.fchmod(here, 0o700)
        require(here, path, Role.FOUND, user)
        _require_empty(here, path)  # until now others may have been able to write to it
    return RunDirectory(run_id=_run_id(micros), path=path, given=True)


def _require_empty(here: int, path: Path) -> None:
    if os.listdir(here):
        raise RunDirectoryError(
            f"the run directory {path} is not empty",
            hint="each run needs a directory of its own: name a new or an empty one",
        )


def _run_id(micros: int) -> str:
    """Return date and time (UTC), then the microsecond in base 36: ids sort as their runs began."""
    second, rest = divmod(micros, 1_000_000)
    digits = ""
    for _ in range(4):
        rest, digit = divmod(rest, 36)
        digits = _BASE36[digit] + digits
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(second))}-{digits}"


def _pretty(value: object) -> bytes:
    """JSON for people; what of a path is no text is escaped, which msgspec would refuse."""
    return (json.dumps(msgspec.to_builtins(value), indent=2) + "\n").encode("ascii")
