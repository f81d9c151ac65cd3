"""Lines of JSON: those that are log records of the usual libraries, and those that are data."""

import json

import pytest

from orchestrator.engine.node.capture import parse

RECORDS = {
    "structlog": '{"ms": 1.5, "event": "slow", "level": "warning", "timestamp": "2026-11-30"}',
    "python-json-logger": '{"asctime": "2026", "levelname": "ERROR", "name": "j", "message": "m"}',
    "slog": '{"time":"2026-11-30T22:13:21.888Z","level":"WARN","msg":"slow","n":3}',
    "zap": '{"level":"error","ts":1796076810.88,"caller":"a.go:3","msg":"bad"}',
    "pino": '{"level":50,"time":1796076810885,"pid":3,"hostname":"h","msg":"bad"}',
    "ecs": '{"@timestamp":"2026","log.level":"error","message":"m","error.type":"E"}',
    "upper case": '{"severity": "Critical", "message": "m"}',
}
FOUND = {
    "structlog": ("warning", "", "slow", {"ms": 1.5}),
    "python-json-logger": ("error", "j", "m", {}),
    "slog": ("warning", "", "slow", {"n": 3}),
    "zap": ("error", "", "bad", {"caller": "a.go:3"}),
    "pino": ("error", "", "bad", {"pid": 3, "hostname": "h"}),
    "ecs": ("error", "", "m", {}),
    "upper case": ("critical", "", "m", {}),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_text_and_a_named_level_make_a_record(name):
    record = parse(RECORDS[name])
    fields = json.loads(record.fields) if record.fields else {}
    assert (record.level, record.logger, record.msg, fields) == FOUND[name]


def test_its_exception_is_a_traceback():
    record = parse('{"event": "bad", "level": "error", "exception": "Traceback..."}')
    assert (record.traceback, record.fields) == ("Traceback...", "")
    assert parse(RECORDS["ecs"]).error_type == "E"


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "row", "n": 3}',
        '{"level": 3, "message": "hi"}',
        '{"level": 30, "message": "hi"}',
        '{"level": "loud", "message": "hi"}',
        '{"level": "error", "message": {"not": "a text"}}',
        '{"level": "error", "msg": "torn"',
        '["level", "error"]',
        "parsed 3 {files}",
        "{" + '"a":{' * 100_000 + "}" * 100_000 + "}",
        "",
    ],
)
def test_data_stays_what_it_is(line):
    assert parse(line) is None
