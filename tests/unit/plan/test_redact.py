"""Secrets stay out of a plan that is shown or kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.masking import MASK, is_secret, without_password
from orchestrator.plan.model import JobPlan, Plan, Shape, Target
from orchestrator.plan.redact import masked


@pytest.mark.parametrize(
    "name",
    [
        *("TOKEN", "GITHUB_TOKEN", "DB_PASSWORD", "password", "apiKey", "AWS_SECRET_ACCESS_KEY"),
        *("PGPASSWORD", "client-secret", "KEY", "SSH_KEYS", "DB_PASS", "MYSQL_PWD", "tokenFile"),
    ],
)
def test_a_name_with_a_secrets_word_in_it_is_a_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["PATH", "PWD", "MONKEY", "tokenizer", "key_column", "PASSAGE", ""]
)
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret(name)


def plan(**keys: object) -> Plan:
    job = JobPlan(
        name="a",
        target=Target(module="m", qualname="f"),
        shape=Shape.TASK,
        **keys,  # type: ignore[arg-type]
    )
    return Plan(name="p", spec_path="/s", project_dir="/", queues={}, jobs={"a": job})


def test_values_of_secret_names_are_masked_however_deep_and_others_stay() -> None:
    job = masked(
        plan(
            env=(("TOKEN", "s3cret"), ("HOME", "/h"), ("API_KEY", None)),
            kwargs={"retries": 3, "auth": {"token": ["s3cret", 7]}, "password": "s3cret"},
            args=({"secret": "s3cret"}, "postgres://me:s3cret@db/x", ["plain"]),
        )
    ).jobs["a"]
    assert "s3cret" not in repr(job)
    assert job.env == (("TOKEN", MASK), ("HOME", "/h"), ("API_KEY", None))
    assert job.kwargs == {"retries": 3, "auth": {"token": [MASK, MASK]}, "password": MASK}
    assert job.args == ({"secret": MASK}, f"postgres://me:{MASK}@db/x", ["plain"])


@given(st.text(), st.text())
def test_any_name_and_value_can_be_masked(name: str, value: str) -> None:
    assert masked(plan(env=((name, value),))).jobs["a"].name == "a"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("postgres://u:p@ss@h/x", "postgres://u:***@h/x"),
        ("a://u:p@h,b://u:q@i", "a://u:***@h,b://u:***@i"),
        ('"http://h:1@x","c@d"', '"http://h:***@x","c@d"'),
        ("http://u:p@h?mail=a@b.c", "http://u:***@h?mail=a@b.c"),
        ("http://h/a@b", "http://h/a@b"),
    ],
)
def test_a_password_with_an_at_ends_at_the_last_one(text, safe):
    assert without_password(text) == safe
