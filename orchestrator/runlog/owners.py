"""The verdict on a run's owner: what others own or can write is not run.

`mporch resume`, `dead debug` and `dead replay` run what a run's directory holds: its spec names
commands, its items are pickles. A folder of another user is refused, as git refuses another user's
repository. What is asked of the system is asked of an open descriptor, never of a path.
"""

from __future__ import annotations

import contextlib
import enum
import grp
import os
import pwd
import re
import shlex
import stat
import struct
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator.errors import UsageError
from orchestrator.files import open_directory, with_home

__all__ = [
    "TRUST",
    "FileStatus",
    "Objection",
    "Role",
    "User",
    "current_user",
    "look_at",
    "require",
    "require_found",
    "require_given",
    "verdict",
]

TRUST = "MPORCH_TRUST"
"""The variable that names folders of others whose runs may be run, `*` for all of them."""

_EVERYTHING = "*"
_SUDO_UID = "SUDO_UID"
_ACL = "system.posix_acl_access"
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_HEAD_BYTES = 4
_ACL_USER, _ACL_OWN_GROUP, _ACL_GROUP, _ACL_MASK = 0x02, 0x04, 0x08, 0x10
_WRITE = 0o2
_UID = re.compile("[0-9]{1,10}")
_RUN_FROM = re.compile(r"spec\.yaml|plan\.json|dead|state\..*|log\.jsonl")
"""What a run goes on from. Other files in its directory are never run.

The log tells `resume --salvage` where the spec was, and so whose code is run.
"""


class Role(enum.Enum):
    """What a folder or file is to the run whose content is to be run."""

    FOUND = enum.auto()
    """The run's directory, or a file in it: mporch has found it, nobody has named it."""
    GIVEN = enum.auto()
    """The same, but its path was given by the user: whose it is is the user's word."""
    HOLDER = enum.auto()
    """`.mporch` and `runs`. A sticky folder lets nobody replace what is in it."""
    ABOVE = enum.auto()
    """A folder above these. Its owner may be anybody: who owns a project can change its code."""
    TAKEN = enum.auto()
    """An empty directory that is about to be made private."""


_ANY_OWNER = frozenset({Role.GIVEN, Role.ABOVE})
_STICKY_IS_SAFE = frozenset({Role.HOLDER, Role.ABOVE})


class Objection(enum.Enum):
    """Why what a folder or file holds is not run."""

    OWNER = enum.auto()
    """It belongs to another user."""
    EVERYBODY = enum.auto()
    """Everybody can write to it."""
    GROUP = enum.auto()
    """A group can that has other members than its owner."""
    LISTED = enum.auto()
    """A user or a group can that its access control list names."""


class FileStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the system says of a folder or file.

    `private_group`: its group has its owner for its only member. `acl` is its POSIX access control
    list, empty if it has none; its mode's group bits are then the list's mask.
    """

    uid: int
    gid: int
    mode: int
    private_group: bool = False
    acl: bytes = b""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs mporch; `sudo_uid` is who has called sudo, `trusted` what MPORCH_TRUST names."""

    euid: int
    sudo_uid: int | None = None
    trusted: tuple[Path, ...] = ()
    trusts_all: bool = False

    @property
    def own(self) -> frozenset[int]:
        """The users whose files are as good as one's own: root's, and under sudo the caller's."""
        caller = {self.sudo_uid} if self.sudo_uid is not None and self.euid == 0 else set[int]()
        return frozenset({self.euid, 0} | caller)

    def trusts(self, path: Path) -> bool:
        """True if the folder at `path`, which has no links in it, is trusted whoever wrote it."""
        return self.trusts_all or any(path.is_relative_to(each) for each in self.trusted)


def verdict(entry: FileStatus, own: frozenset[int], role: Role) -> Objection | None:
    """Return what speaks against a folder or file in such a role; None if nothing does. Pure.

    `own` are the users that may have made it, and write to it.
    """
    if role not in _ANY_OWNER and entry.uid not in own:
        return Objection.OWNER
    if role is Role.TAKEN or (role in _STICKY_IS_SAFE and entry.mode & stat.S_ISVTX):
        return None
    if entry.mode & stat.S_IWOTH:
        return Objection.EVERYBODY
    group_writes, listed = _acl_writers(entry)
    if listed - own:
        return Objection.LISTED
    if group_writes and not entry.private_group:
        return Objection.GROUP
    return None


def _acl_writers(entry: FileStatus) -> tuple[bool, set[int]]:
    """Return whether its own group may write, and the users that its access control list lets.

    A group that the list names counts as a user that nobody is.
    """
    if not entry.acl:
        return bool(entry.mode & stat.S_IWGRP), set()
    found = list(_ACL_ENTRY.iter_unpack(entry.acl[_ACL_HEAD_BYTES:]))
    mask = next((perm for tag, perm, _ in found if tag == _ACL_MASK), _WRITE)
    can = [(tag, who) for tag, perm, who in found if perm & mask & _WRITE]
    listed = {who if tag == _ACL_USER else -1 for tag, who in can if tag in (_ACL_USER, _ACL_GROUP)}
    return any(tag == _ACL_OWN_GROUP for tag, _ in can), listed


def current_user(environ: Mapping[str, str]) -> User:
    """Return who runs this process. Raises UsageError if MPORCH_TRUST cannot be understood."""
    named = [each for each in environ.get(TRUST, "").split(os.pathsep) if each]
    paths = [with_home(each) for each in named if each != _EVERYTHING]
    if wrong := next((each for each in paths if not each.is_absolute()), None):
        raise UsageError(
            f"{TRUST} names {wrong}, which is not an absolute path",
            hint=f"{TRUST}=/folder:/another, or '{_EVERYTHING}' for all",
        )
    caller = environ.get(_SUDO_UID, "")
    return User(
        euid=os.geteuid(),
        sudo_uid=int(caller) if _UID.fullmatch(caller) else None,
        trusted=tuple(Path(os.path.realpath(each)) for each in paths),
        trusts_all=_EVERYTHING in named,
    )


def look_at(fd: int) -> FileStatus:
    """Return what the system says of an open file or folder."""
    found = os.fstat(fd)
    acl = b""
    if found.st_mode & stat.S_IWGRP:
        with contextlib.suppress(OSError):  # it has none, or its file system knows of none
            acl = os.getxattr(f"/proc/self/fd/{fd}", _ACL)  # so of one that was opened by O_PATH
    private = bool(found.st_mode & stat.S_IWGRP) and _is_private(found.st_gid, found.st_uid)
    return FileStatus(
        uid=found.st_uid, gid=found.st_gid, mode=found.st_mode, private_group=private, acl=acl
    )


def require(fd: int, path: Path, role: Role, user: User, *, trust: Path | None = None) -> None:
    """Raise UsageError if the folder or file open at `fd` may not play such a role.

    `path` is its name for the message, `trust` the folder to be trusted (itself, if not given).
    """
    if _is_trusted(fd, user):
        return
    entry = look_at(fd)
    if (flaw := verdict(entry, user.own, role)) is not None:
        wanted = path if trust is None else trust
        raise _refusal(path, _in_words(flaw, entry), role, user, wanted)


def require_found(fd: int, path: Path, home: Path, user: User) -> None:
    """Raise UsageError if the run in the directory `fd`, at `path` under `home`, is not the user's.

    That is so as well if somebody else could put another in its place.
    """
    if _is_trusted(fd, user):
        return
    for folder in (home, path.parent):
        _require_own_link(folder, user, path)
        with open_directory(folder, follow=True) as here:
            require(here, folder, Role.HOLDER, user)
    _require_own_link(path, user, path)
    _require_content(fd, path, Role.FOUND, user)
    _require_above(fd, path, user)


def require_given(fd: int, path: Path, user: User) -> None:
    """Raise UsageError if others can write to the run's directory `fd`, whose path was given."""
    if not _is_trusted(fd, user):
        _require_content(fd, path, Role.GIVEN, user)


def _is_trusted(fd: int, user: User) -> bool:
    """True if what is open is in a trusted folder: its path may lead to another one by now."""
    if user.trusts_all or not user.trusted:
        return user.trusts_all
    return user.trusts(Path(f"/proc/self/fd/{fd}").readlink())


def _require_content(fd: int, path: Path, role: Role, user: User) -> None:
    """Ask of a run's directory, and of all in it that the run goes on from."""
    require(fd, path, role, user, trust=path)
    for name in filter(_RUN_FROM.fullmatch, os.listdir(fd)):
        _require_file(name, fd, path / name, role, user, trust=path)


def _require_file(name: str, fd: int, path: Path, role: Role, user: User, *, trust: Path) -> None:
    """Ask of a file, or of a folder and all in it; a link is refused where it is to be opened."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        here = os.open(name, flags, dir_fd=fd)
    except OSError:
        return
    try:
        require(here, path, role, user, trust=trust)
        if stat.S_ISDIR(os.fstat(here).st_mode):
            for each in os.listdir(here):  # noqa: PTH208 -- of a descriptor
                _require_file(each, here, path / each, role, user, trust=trust)
    finally:
        os.close(here)


def _require_above(fd: int, path: Path, user: User) -> None:
    """Ask of all folders above the run's directory: who can move it can put another there."""
    here, above = os.dup(fd), Path(os.path.realpath(path))
    try:
        while above != above.parent:
            outer = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here, above = outer, above.parent
            entry = look_at(here)
            if (flaw := verdict(entry, user.own, Role.ABOVE)) is not None:
                raise _refusal(above, _in_words(flaw, entry), Role.ABOVE, user, path)
    finally:
        os.close(here)


def _require_own_link(path: Path, user: User, trust: Path) -> None:
    """Raise UsageError if `path` is a link that somebody else has made."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) and found.st_uid not in user.own:
        flaw = f"is a link that belongs to {_user_name(found.st_uid)}"
        raise _refusal(path, flaw, Role.FOUND, user, trust)


def _in_words(flaw: Objection, entry: FileStatus) -> str:
    """Return it as a predicate."""
    match flaw:
        case Objection.OWNER:
            return f"belongs to {_user_name(entry.uid)}"
        case Objection.EVERYBODY:
            return "can be written by everybody"
        case Objection.GROUP:
            return f"can be written by the group {_group_name(entry.gid)}"
        case Objection.LISTED:
            return "can be written by others (see getfacl)"


def _refusal(path: Path, flaw: str, role: Role, user: User, trust: Path) -> UsageError:
    me = _user_name(user.euid)
    quoted = shlex.quote(str(path))
    allow = f"if you trust who can write there: {TRUST}={shlex.quote(str(trust))}"
    if role is Role.ABOVE:
        what = f"another run could be put in the place of {trust}"
        mend = f"chmod +t {quoted}"
    else:
        what = f"who can write there could have anything run as {me}"
        change = "chmod go-w" if flaw.startswith("can") else f"chown -hR {me.partition(' ')[0]}"
        mend = f"once you have looked into it: {change} {quoted}"
    return UsageError(f"{path} {flaw}: {what}", hint=f"{allow}; or, {mend}")


def _is_private(gid: int, uid: int) -> bool:
    """True if a group has one member, its owner, as most systems make one for each user."""
    try:
        owner, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    is_own = owner.pw_gid == gid and group.gr_name == owner.pw_name
    return is_own and set(group.gr_mem) <= {owner.pw_name}


def _user_name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
