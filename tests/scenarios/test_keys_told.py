"""What docs/keys.md calls an error or a warning `mporch validate` tells, at the key."""

import pytest
from keys_page import COMMANDS, JOBS, Draft, ids, problems_of, told_at

WRITTEN = {
    "args": "args: [1]",
    "kwargs": "kwargs: {key: 1}",
    "call": "call: item",
    "batch.size": "batch: {size: 2}",
    "batch.within": "batch: {within: 1s}",
    "workers": "workers: 2",
    "timeouts.item": "timeouts: {item: 1s}",
    "join": "join: 1s",
    "on_error": "on_error: skip",
    "retry.attempts": "retry: {attempts: 2}",
    "retry.backoff": "retry: {backoff: {initial: 1s}}",
    "restart.max": "restart: {max: 3}",
    "restart.replay": "restart: {replay: skip}",
    "recycle.max_items": "recycle: {max_items: 3}",
    "recycle.max_rss": "recycle: {max_rss: 1GiB}",
    "rate": "rate: 1/s",
    "ordered": "ordered: true",
    "total": "total: 3",
    "item_name": "item_name: none",
    "exit_codes": "exit_codes: [0, 1]",
    "stdin": "stdin: text",
    "stdout": "stdout: log",
}


@pytest.mark.parametrize(
    ("key", "shape", "kind"),
    [cell for cell in JOBS if cell[2] in ("error", "warning")],
    ids=ids([cell for cell in JOBS if cell[2] in ("error", "warning")]),
)
def test_a_key_that_does_not_fit_a_job_is_told(tmp_path, key, shape, kind):
    draft = Draft()
    draft.add("j", shape, WRITTEN[key], 'target: "t:consume"')
    told_at(draft.text(), tmp_path, key, kind)


@pytest.mark.parametrize(
    ("key", "shape", "kind"),
    [cell for cell in COMMANDS if cell[2] in ("error", "warning")],
    ids=ids([cell for cell in COMMANDS if cell[2] in ("error", "warning")]),
)
def test_a_key_that_does_not_fit_a_command_is_told(tmp_path, key, shape, kind):
    draft = Draft()
    out = "" if shape == "task" else ", OUT"
    draft.add("j", shape, f"{WRITTEN.get(key, key)}{out}", 'command: [echo, "1"]')
    told_at(draft.text(), tmp_path, key.partition(":")[0], kind)


VOID = {
    "retry.backoff": ("item", "retry: {backoff: {initial: 1s}}"),
    "restart.within": ("item", "restart: {max: 0, within: 1s}"),
    "restart.replay": ("source", "restart: {max: 0, replay: skip}"),
    "batch.within": ("batch", "batch: {size: 1, within: 1s}"),
}


@pytest.mark.parametrize("key", VOID)
def test_a_key_that_another_one_makes_void_is_told(tmp_path, key):
    shape, keys = VOID[key]
    draft = Draft()
    draft.add("j", shape, keys, 'target: "t:consume"')
    (problem,) = told_at(draft.text(), tmp_path, key, "warning")
    assert problem.code == "MP416"


@pytest.mark.parametrize(
    ("key", "void", "needed"),
    [
        ("retry.backoff", "retry: {attempts: 1}", "retry: {attempts: 2}"),
        ("batch.within", "batch: {size: 1}", "batch: {size: 2}"),
    ],
)
def test_a_void_default_is_told_unless_a_job_needs_it(tmp_path, key, void, needed):
    shape = VOID[key][0]
    default = WRITTEN[key]
    draft = Draft()
    draft.add("j", shape, void, 'target: "t:consume"')
    (problem,) = problems_of(draft.text().replace("on_failure: continue", default), tmp_path)
    assert (problem.code, problem.path) == ("MP416", f"defaults.{key}")
    draft.add("k", shape, needed, 'target: "t:consume"')
    assert problems_of(draft.text().replace("on_failure: continue", default), tmp_path) == ()


@pytest.mark.parametrize("key", sorted({"batch.size", "join", "rate", "timeouts.item", "on_error"}))
def test_a_default_that_fits_no_job_is_told(tmp_path, key):
    draft = Draft()
    draft.add("j", "source", "", 'target: "t:consume"')
    spec = draft.text().replace("on_failure: continue", WRITTEN[key]).replace("stream}", "stream }")
    problems = problems_of(spec, tmp_path)
    fits_drain = key == "join"
    assert [p.code for p in problems] == ([] if fits_drain else ["MP417"])
