"""Whose run is run: the user's own and root's, where nobody else can write."""

import contextlib
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.files import open_directory
from orchestrator.runlog import find
from orchestrator.runlog.directory import RunDirectory, create
from orchestrator.runlog.find import open_to_run, resolve
from orchestrator.runlog.owners import (
    FileStatus,
    Objection,
    Role,
    User,
    current_user,
    look_at,
    verdict,
)

ME, ROOT, OTHER, CALLER = 1000, 0, 12345, 777
OWN = User(euid=ME).own
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def entry(uid: int = ME, mode: int = 0o700, **others: object) -> FileStatus:
    return FileStatus(uid=uid, gid=uid, mode=stat.S_IFDIR | mode, **others)  # type: ignore[arg-type]


def acl(*entries: tuple[int, int, int]) -> bytes:
    """A list as the kernel has it: tag, permissions, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("uid", [ME, ROOT])
def test_what_is_the_users_or_roots_alone_is_fine_in_each_role(role: Role, uid: int) -> None:
    assert verdict(entry(uid), OWN, role) is None
    assert verdict(entry(uid, 0o755), OWN, role) is None


@pytest.mark.parametrize("role", [Role.FOUND, Role.HOLDER, Role.TAKEN])
def test_what_belongs_to_another_is_told_by_its_owner(role: Role) -> None:
    assert verdict(entry(OTHER), OWN, role) is Objection.OWNER


@pytest.mark.parametrize("role", [Role.GIVEN, Role.ABOVE])
def test_a_given_path_and_a_folder_above_may_be_anybodys(role: Role) -> None:
    assert verdict(entry(OTHER, 0o755), OWN, role) is None


@pytest.mark.parametrize("role", [each for each in Role if each is not Role.TAKEN])
def test_what_others_can_write_is_refused_in_each_role_that_is_kept(role: Role) -> None:
    assert verdict(entry(mode=0o702), OWN, role) is Objection.EVERYBODY
    assert verdict(entry(mode=0o770), OWN, role) is Objection.GROUP


@pytest.mark.parametrize(
    ("role", "is_fine"),
    [(Role.HOLDER, True), (Role.ABOVE, True), (Role.FOUND, False), (Role.GIVEN, False)],
)
def test_a_sticky_folder_may_hold_runs_and_be_none(role: Role, is_fine: bool) -> None:
    assert (verdict(entry(ROOT, 0o1777), OWN, role) is None) == is_fine


def test_a_group_of_the_owner_alone_is_nobody_else() -> None:
    assert verdict(entry(mode=0o770, private_group=True), OWN, Role.FOUND) is None
    assert verdict(entry(mode=0o777, private_group=True), OWN, Role.FOUND) is not None


WRITE, READ = 7, 5
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHERS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
OBJ = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("entries", "flaw"),
    [
        ([(USER, WRITE, OTHER), (GROUP_OBJ, READ, OBJ), (MASK, WRITE, OBJ)], Objection.LISTED),
        ([(GROUP_OBJ, READ, OBJ), (GROUP, WRITE, 5), (MASK, WRITE, OBJ)], Objection.LISTED),
        ([(USER, WRITE, ME), (GROUP_OBJ, READ, OBJ), (MASK, WRITE, OBJ)], None),
        ([(USER, WRITE, ME), (GROUP_OBJ, WRITE, OBJ), (MASK, WRITE, OBJ)], Objection.GROUP),
        ([(USER, WRITE, OTHER), (GROUP_OBJ, WRITE, OBJ), (MASK, READ, OBJ)], None),
    ],
    ids=["a user", "a group", "oneself", "its own group", "the mask takes it back"],
)
def test_an_access_control_list_counts_as_its_mask_lets_it(
    entries: list[tuple[int, int, int]], flaw: Objection | None
) -> None:
    listed = acl((USER_OBJ, 7, OBJ), *entries, (OTHERS, 0, OBJ))
    assert verdict(entry(mode=0o770, acl=listed), OWN, Role.FOUND) is flaw


def test_the_list_of_a_directory_is_read(tmp_path: Path) -> None:
    listed = acl(
        (USER_OBJ, 7, OBJ),
        (USER, WRITE, OTHER),
        (GROUP_OBJ, READ, OBJ),
        (MASK, WRITE, OBJ),
        (OTHERS, 0, OBJ),
    )
    try:
        os.setxattr(tmp_path, "system.posix_acl_access", listed)
    except OSError as error:
        pytest.skip(f"this file system has no access control lists: {error.strerror}")
    for flags in (os.O_RDONLY, os.O_PATH):
        fd = os.open(tmp_path, flags)
        try:
            found = look_at(fd)
        finally:
            os.close(fd)
        assert verdict(found, User(euid=os.geteuid()).own, Role.FOUND) is Objection.LISTED


def test_under_sudo_the_callers_files_are_roots_own_and_nobody_elses() -> None:
    root = User(euid=ROOT, sudo_uid=CALLER)
    assert verdict(entry(CALLER), root.own, Role.FOUND) is None
    assert verdict(entry(OTHER), root.own, Role.FOUND) is not None
    by_root = User(euid=ME, sudo_uid=CALLER)  # sudo -u me
    assert verdict(entry(CALLER), by_root.own, Role.FOUND) is not None


def test_trust_is_of_folders_and_all_below_them(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    user = current_user({"MPORCH_TRUST": f"{tmp_path}/link:/b:"})
    assert user.trusts(tmp_path / "a")
    assert user.trusts(tmp_path / "a/b/c")
    assert user.trusts(Path("/b"))
    assert not user.trusts(tmp_path / "ab")
    assert not user.trusts(tmp_path)
    assert current_user({"MPORCH_TRUST": "*"}).trusts(Path("/"))
    assert not current_user({}).trusts(Path("/"))
    assert not current_user({"MPORCH_TRUST": ""}).trusts(Path.cwd())


@pytest.mark.parametrize("path", ["here", "./here", "~nobody-of-that-name/x"])
def test_a_trusted_path_that_is_not_absolute_is_an_error(path: str) -> None:
    with pytest.raises(UsageError, match=r"MPORCH_TRUST names .* not an absolute path"):
        current_user({"MPORCH_TRUST": f"/a:{path}"})


def test_a_trusted_path_may_begin_with_ones_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert current_user({"MPORCH_TRUST": "~/runs"}).trusts(Path("/home/me/runs/x"))


@pytest.mark.parametrize("uid", ["", "x", "-1", "1" * 5000, "٣"])
def test_a_caller_of_sudo_that_is_no_number_is_nobody(uid: str) -> None:
    assert current_user({"SUDO_UID": uid}).sudo_uid is None
    assert current_user({"SUDO_UID": "12"}).sudo_uid == 12


# -- the folders themselves -----------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run as it is found."""
    made = create(tmp_path / "project" / ".mporch", now=1.0)
    made.write_spec("version: 1\n")
    (made.path / "plan.json").touch(0o600)
    made.log_path.touch(0o600)
    (made.path / "dead").mkdir(0o700)
    (made.path / "dead" / "chunk-000001.pickle").touch(0o600)
    return made


def refusal(run: RunDirectory, user: User | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught, open_to_run(run, user):
        pass
    return caught.value


def accepted(run: RunDirectory, user: User | None = None) -> bool:
    with open_to_run(run, user) as opened:
        return opened.fd is not None


STRANGER = User(euid=os.geteuid() + 23456)


def test_a_run_of_ones_own_is_opened(run: RunDirectory) -> None:
    assert accepted(run)
    with open_to_run(run) as opened:
        assert opened.is_in_place
        assert opened.read_spec() == b"version: 1\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="what is root's is everybody's")
def test_a_run_of_another_is_refused_by_the_owners_name(run: RunDirectory) -> None:
    told = refusal(run, STRANGER)
    assert f"{run.path.parent.parent} belongs to" in str(told)


@as_root
@pytest.mark.parametrize(
    "part",
    [".", "..", "../..", "spec.yaml", "plan.json", "log.jsonl", "dead", "dead/chunk-000001.pickle"],
)
def test_each_part_that_belongs_to_another_is_refused_by_the_owners_name(
    run: RunDirectory, part: str
) -> None:
    os.chown(run.path / part, OTHER, OTHER)
    named = Path(os.path.normpath(run.path / part))
    told = refusal(run)
    assert str(told).startswith(f"{named} belongs to uid 12345: ")
    assert "could have anything run as root (uid 0)" in str(told)
    assert "MPORCH_TRUST=" in told.hint
    assert f"chown -hR root {named}" in told.hint
    assert accepted(run, User(euid=0, sudo_uid=OTHER))
    assert accepted(run, User(euid=0, trusted=(run.path.parent.parent,)))
    assert accepted(run, User(euid=0, trusts_all=True))
    assert accepted(resolve(None, str(run.path))), "a path that is given is the user's word"


@pytest.mark.parametrize(
    "part",
    [".", "..", "../..", "spec.yaml", "plan.json", "log.jsonl", "dead", "dead/chunk-000001.pickle"],
)
def test_each_part_that_everybody_can_write_is_refused(run: RunDirectory, part: str) -> None:
    (run.path / part).chmod(0o777)
    named = Path(os.path.normpath(run.path / part))
    told = refusal(run)
    assert str(told).startswith(f"{named} can be written by everybody: ")
    assert f"chmod go-w {named}" in told.hint
    given = resolve(None, str(run.path))
    if ".." in part:
        assert accepted(given)
    else:
        assert str(refusal(given)).startswith(f"{named} can be written by everybody: ")


def test_a_file_that_is_never_run_may_be_writable(run: RunDirectory) -> None:
    (run.path / "out.csv").touch()
    (run.path / "out.csv").chmod(0o666)
    assert accepted(run)


def test_a_folder_above_in_which_others_could_replace_it_is_refused_unless_it_is_sticky(
    run: RunDirectory, tmp_path: Path
) -> None:
    project = run.path.parent.parent.parent
    project.chmod(0o777)
    told = refusal(run)
    assert str(told).startswith(f"{project} can be written by everybody: another run could be put")
    assert f"MPORCH_TRUST={run.path}" in told.hint
    assert accepted(run, User(euid=os.geteuid(), trusted=(run.path,)))
    project.chmod(0o1777)
    assert accepted(run)
    tmp_path.chmod(0o777)
    assert str(refusal(run)).startswith(f"{tmp_path} can be written")


@as_root
@pytest.mark.parametrize("link", [".", "..", "../.."])
def test_a_link_that_another_has_made_is_not_followed(run: RunDirectory, link: str) -> None:
    path = Path(os.path.normpath(run.path / link))
    path.rename(path.parent / "real")
    path.symlink_to(path.parent / "real")
    assert accepted(run), "one's own link is"
    os.lchown(path, OTHER, OTHER)
    assert str(refusal(run)).startswith(f"{path} is a link that belongs to uid 12345: ")


def test_what_was_opened_stays_that_whatever_takes_its_place(run: RunDirectory) -> None:
    with open_to_run(run) as opened:
        run.path.rename(run.path.with_name("moved"))
        run.path.mkdir()
        (run.path / "spec.yaml").write_text("version: 2\n")
        assert opened.read_spec() == b"version: 1\n"
        assert not opened.is_in_place


@as_root
def test_a_path_that_leads_to_a_trusted_run_by_now_makes_no_other_one_trusted(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = create(tmp_path / "trusted" / ".mporch", now=1.0)
    user = User(euid=0, trusted=(tmp_path / "trusted",))
    os.chown(run.path, OTHER, OTHER)

    @contextlib.contextmanager
    def replaced_once_it_is_open(path: Path, **keys: bool) -> Iterator[int]:
        with open_directory(path, **keys) as fd:
            path.rename(path.with_name("moved"))
            path.symlink_to(trusted.path)
            yield fd

    monkeypatch.setattr(find, "open_directory", replaced_once_it_is_open)
    assert str(refusal(run, user)).startswith(f"{run.path} belongs to uid 12345: ")


def test_a_run_that_cannot_be_opened_is_not_found(run: RunDirectory) -> None:
    run.path.rename(run.path.with_name("moved"))
    assert "cannot open" in str(refusal(run))


def test_the_group_that_is_its_owners_alone_is_known_by_its_members(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        own = look_at(fd)
        if os.geteuid() == 0:
            os.fchown(fd, 0, OTHER)
            assert not look_at(fd).private_group
            os.fchown(fd, 0, 0)
            assert look_at(fd).private_group
    finally:
        os.close(fd)
    assert own.uid == os.geteuid()


# -- a new run ------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("part", ["", "runs"])
def test_no_run_is_put_into_a_home_of_another(tmp_path: Path, part: str) -> None:
    home = create(tmp_path / ".mporch").path.parent.parent
    os.chown(home / part, OTHER, OTHER)
    before = sorted(home.rglob("*"))
    with pytest.raises(UsageError, match="belongs to uid 12345") as caught:
        create(home)
    assert f"MPORCH_TRUST={home / part}" in caught.value.hint
    assert sorted(home.rglob("*")) == before
    create(home, user=User(euid=0, trusted=(tmp_path,)))
    create(home, user=User(euid=0, sudo_uid=OTHER))


@pytest.mark.parametrize("part", ["", "runs"])
def test_no_run_is_put_into_a_home_that_others_can_write(tmp_path: Path, part: str) -> None:
    home = create(tmp_path / ".mporch").path.parent.parent
    (home / part).chmod(0o777)
    with pytest.raises(UsageError, match="can be written by everybody"):
        create(home)
    (home / part).chmod(0o1777)
    create(home)


@as_root
def test_no_run_is_put_into_a_directory_of_another(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(0o755)
    os.chown(tmp_path / "theirs", OTHER, OTHER)
    with pytest.raises(UsageError, match=r"theirs belongs to uid 12345"):
        create(tmp_path, tmp_path / "theirs")
    assert stat.S_IMODE((tmp_path / "theirs").stat().st_mode) == 0o755
    create(tmp_path, tmp_path / "theirs", user=User(euid=0, trusts_all=True))


def test_a_directory_that_everybody_could_write_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    run = create(tmp_path, tmp_path / "open")
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
