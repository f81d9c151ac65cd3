"""A run tells whether a variable is what it was, and not what it was."""

import stat
import threading

from orchestrator.app.changes import KEY_NAME, UNKNOWN, changed, fingerprints

GIVEN = {"TOKEN": "s3cret", "LEVEL": "1", "UNSET": None}


def test_the_same_values_have_the_same_hashes_in_one_run(tmp_path):
    assert fingerprints(GIVEN, tmp_path, "r1") == fingerprints(GIVEN, tmp_path, "r1")
    assert changed(fingerprints(GIVEN, tmp_path, "r1"), fingerprints(GIVEN, tmp_path, "r1")) == ()


def test_a_changed_a_new_and_a_lost_value_are_told(tmp_path):
    kept = fingerprints(GIVEN, tmp_path, "r1")
    now = fingerprints({"TOKEN": "other", "LEVEL": None, "UNSET": "", "NEW": "x"}, tmp_path, "r1")
    assert changed(kept, now) == ("TOKEN", "LEVEL", "UNSET", "NEW")


def test_equal_values_do_not_look_alike(tmp_path):
    one = fingerprints({"A": "x", "B": "x"}, tmp_path, "r1")
    other = fingerprints({"A": "x"}, tmp_path, "r2")
    assert len({one["A"], one["B"], other["A"]}) == 3
    assert "s3cret" not in str(fingerprints(GIVEN, tmp_path, "r1"))


def test_another_home_has_another_key(tmp_path):
    one, other = (fingerprints(GIVEN, tmp_path / name, "r1") for name in ("a", "b"))
    assert changed(one, other) == ("TOKEN", "LEVEL")


def test_the_key_is_private_and_lies_beside_the_runs(tmp_path):
    fingerprints(GIVEN, tmp_path / "home", "r1")
    assert stat.S_IMODE((tmp_path / "home" / KEY_NAME).stat().st_mode) == 0o600
    names = sorted(path.name for path in (tmp_path / "home").iterdir())
    assert names == [".gitignore", KEY_NAME, "runs"]


def test_no_key_is_made_for_nothing(tmp_path):
    assert fingerprints({}, tmp_path / "home", "r1") == {}
    assert not (tmp_path / "home").exists()


def test_without_a_key_nothing_is_certain(tmp_path):
    (tmp_path / KEY_NAME).write_bytes(b"short")
    now = fingerprints(GIVEN, tmp_path, "r1")
    assert now == {"TOKEN": UNKNOWN, "LEVEL": UNKNOWN, "UNSET": None}
    assert changed(now, now) == ("TOKEN", "LEVEL")


def test_a_key_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"x" * 32)
    (tmp_path / KEY_NAME).symlink_to("elsewhere")
    assert fingerprints(GIVEN, tmp_path, "r1")["TOKEN"] == UNKNOWN


def test_runs_that_begin_at_once_have_one_key(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(fingerprints(GIVEN, tmp_path, "r1")["TOKEN"]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
