"""What `mporch doctor` concludes from what it is shown."""

import configparser
import importlib.util
import multiprocessing
import os
import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.features.doctor import examine
from orchestrator.features.doctor.examine import durable_runs, run_home
from orchestrator.features.doctor.finding import Verdict
from orchestrator.features.doctor.protection import pid_namespace
from orchestrator.kernel.limits import needed
from orchestrator.machine.cgroups import Allowance, read_allowance
from orchestrator.plan.model import StartMethod

ROOT = Path(__file__).parents[4]


@pytest.fixture
def groups(tmp_path):
    """Lay out files as /proc and /sys/fs/cgroup have them, and read them."""

    def read(own, files):
        proc, root = tmp_path / "proc", tmp_path / "cgroup"
        for place, text in {proc / "self/cgroup": own, **files}.items():
            file = root / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return read_allowance(proc, root)

    return read


@pytest.mark.parametrize(
    ("form", "why", "verdict", "found", "means"),
    [
        ("default", "", Verdict.OK, "compiled (default)", ""),
        ("pure", "", Verdict.SLOWER, "pure Python", "installed so; README says what compiles it"),
        ("pure", "no gcc", Verdict.SLOWER, "pure Python", "no gcc; README says what compiles it"),
        ("partly", "", Verdict.SLOWER, "partly compiled", "some of its modules"),
    ],
)
def test_the_form_of_this_copy_is_told_in_words(form, why, verdict, found, means):
    finding = examine.build(form, why)
    assert (finding.verdict, finding.found) == (verdict, found)
    assert finding.means.startswith(means)
    assert bool(finding.means) == bool(means)


def test_of_groups_within_groups_the_least_counts(groups):
    found = groups(
        "0::/a/b\n",
        {
            "cgroup.controllers": "cpu memory pids\n",
            "a/memory.max": "1000\n",
            "a/b/memory.max": "max\n",
            "a/cpu.max": "max 100000\n",
            "a/b/cpu.max": "150000 100000\n",
            "a/pids.max": "300\n",
            "a/b/pids.max": "200\n",
        },
    )
    assert found == Allowance(version=2, memory_bytes=1000, cpus=1.5, processes=200)


def test_each_controller_of_version_1_has_a_group_of_its_own(groups):
    found = groups(
        "3:cpu,cpuacct:/c\n2:memory:/m/n\n1:pids:/\n0::/\n",
        {
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/m/memory.limit_in_bytes": "5000\n",
            "cpu/c/cpu.cfs_quota_us": "50000\n",
            "cpu/c/cpu.cfs_period_us": "100000\n",
            "pids/pids.max": "max\n",
        },
    )
    assert found == Allowance(version=1, memory_bytes=5000, cpus=0.5)


def test_no_quota_of_version_1_is_minus_one(groups):
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert groups("1:cpu:/\n", files) == Allowance(version=1)


def test_a_group_that_a_container_does_not_see_is_passed_over(groups):
    files = {"cgroup.controllers": "", "memory.max": "7\n"}
    assert groups("0::/host/only\n", files) == Allowance(version=2, memory_bytes=7)


def test_without_control_groups_there_is_no_limit(tmp_path, groups):
    assert read_allowance(tmp_path, tmp_path) == Allowance()
    assert groups("0::/\n", {}) == Allowance()


@pytest.mark.parametrize(
    ("hard", "verdict"),
    [
        (needed(1) - 1, Verdict.BROKEN),
        (needed(1), Verdict.LIMITED),
        (needed(16), Verdict.OK),
        (resource.RLIM_INFINITY, Verdict.OK),
    ],
)
def test_descriptors_are_told_as_workers(hard, verdict):
    assert examine.open_files(hard).verdict is verdict


def test_so_many_workers_as_are_told_are_allowed():
    told = int(examine.open_files(20_000).found.split("for ")[1].split()[0].replace(",", ""))
    assert needed(told) <= 20_000 < needed(told + 1)


@pytest.mark.parametrize(
    ("usable", "quota", "verdict"),
    [
        (1, None, Verdict.SLOWER),
        (8, 1.5, Verdict.SLOWER),
        (2, None, Verdict.OK),
        (8, 4, Verdict.OK),
    ],
)
def test_one_processor_is_slower(usable, quota, verdict):
    assert examine.processors(usable, Allowance(cpus=quota)).verdict is verdict


def test_the_lesser_limit_of_processes_counts():
    assert examine.processes(5000, Allowance(processes=20)).found == "at most 20"
    assert examine.processes(5000, Allowance(processes=20)).verdict is Verdict.LIMITED
    assert examine.processes(resource.RLIM_INFINITY, Allowance()).found == "no limit"


def test_memory_is_what_the_group_allows_of_it():
    assert examine.memory(8_000_000_000, Allowance()).found == "8.0 GB"
    limited = examine.memory(8_000_000_000, Allowance(memory_bytes=512_000_000))
    assert limited.found == "8.0 GB, of which the control group allows 512.0 MB"


def test_without_shared_memory_targets_are_limited_not_runs(tmp_path):
    assert examine.shared_memory(tmp_path).verdict is Verdict.OK
    missing = examine.shared_memory(tmp_path / "none")
    assert (missing.verdict, missing.found) == (Verdict.LIMITED, "is not there")


def test_what_is_not_there_is_told(tmp_path, monkeypatch):
    assert examine.process_table(tmp_path).verdict is Verdict.LIMITED
    monkeypatch.delattr(os, "memfd_create")
    assert examine.memory_files().verdict is Verdict.BROKEN
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", list)
    assert examine.temporary_files().verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    ("name", "release", "verdict"),
    [
        ("Linux", "5.4.0-150-generic", Verdict.OK),
        ("Linux", "6.18.44-fc-v595", Verdict.OK),
        ("Linux", "4.19.0", Verdict.LIMITED),
        ("Darwin", "23.1.0", Verdict.LIMITED),
    ],
)
def test_the_system_is_linux_and_new_enough(name, release, verdict):
    assert examine.system(name, release).verdict is verdict


def test_an_interpreter_in_development_mode_is_slower(monkeypatch):
    assert examine.python().verdict is Verdict.OK
    monkeypatch.setattr(sys, "flags", SimpleNamespace(dev_mode=True))
    assert examine.python().verdict is Verdict.SLOWER


def test_without_its_c_library_yaml_is_slower(monkeypatch):
    import yaml  # noqa: PLC0415 -- it is changed here

    assert examine.yaml_reader().verdict is Verdict.OK
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert examine.yaml_reader().verdict is Verdict.SLOWER


@pytest.mark.parametrize(
    ("method", "verdict"),
    [(StartMethod.FORKSERVER, Verdict.SLOWER), (StartMethod.FORK, Verdict.LIMITED)],
)
def test_a_start_method_that_is_not_there_is_told(monkeypatch, method, verdict):
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert examine.start_method(method).verdict is verdict


def test_each_extra_that_a_user_may_install_is_looked_for():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert set(config["options.extras_require"]) - {"bench", "test"} == set(examine.EXTRAS)
    for module, _ in examine.EXTRAS.values():
        assert importlib.util.find_spec(module)


def test_an_extra_that_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(examine, "StartMethod", [])
    monkeypatch.setattr(examine, "EXTRAS", {"svg": ("no_such_module", "no picture")})
    *_, extra = examine.look_at_interpreter()
    assert (extra.verdict, extra.means) == (
        Verdict.LIMITED,
        "no picture; pip install 'mporch[svg]'",
    )


def test_a_place_for_runs_need_not_be_there_but_must_be_writable(tmp_path, monkeypatch):
    assert run_home(tmp_path / "new" / ".mporch").verdict is Verdict.OK
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert run_home(tmp_path).verdict is Verdict.BROKEN


def test_durable_runs_need_a_place_for_a_write_ahead_log(tmp_path):
    assert durable_runs(tmp_path).verdict is Verdict.OK
    assert list(tmp_path.iterdir()) == []
    refused = durable_runs(tmp_path / "none")
    assert refused.verdict is Verdict.LIMITED
    assert "No such file" in refused.found


@pytest.mark.parametrize("works", [True, False])
def test_a_pid_namespace_is_not_needed(works):
    assert pid_namespace(works=works).verdict is Verdict.OK


def test_a_home_that_others_can_write_is_one_in_which_no_run_is_kept(tmp_path):
    (tmp_path / ".mporch").mkdir()
    (tmp_path / ".mporch").chmod(0o777)
    found = run_home(tmp_path / ".mporch")
    assert found.verdict is Verdict.BROKEN
    assert "can be written by everybody" in found.found
    assert "MPORCH_TRUST=" in found.means
