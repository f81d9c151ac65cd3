"""Records in the forms of others: each is read back by who reads that form."""

import json
import re
from pathlib import Path

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

import orchestrator.views
from orchestrator.core.protocol import notifications
from orchestrator.runlog.catalogue import CATALOGUE
from orchestrator.views.logs import FORMATS

RECORD = {
    "ts": "2026-12-01T02:27:22.948370Z",
    "run": "r1",
    "event": "log",
    "level": "error",
    "job": "w",
    "worker": "w-1",
    "pid": 5,
    "msg": 'not "so" good = bad\n',
    "logger": "app",
    "fields": {"n": 1, "big": 1 << 70, "d": {"a": [1.5, None, True]}, "msg": "clash", "a b": "x"},
    "item": "q:7",
    "attempt": 2,
    "error_type": "ValueError",
    "error": "no",
    "traceback": "Traceback...\nValueError: no",
    "call": "m.py:12 work",
}
BARE = {"ts": "torn", "event": "output", "msg": "", "level": "odd"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("record", [RECORD, BARE])
def test_each_record_is_one_line(form, record):
    assert "\n" not in FORMATS[form](record)


def test_opentelemetry_s_own_messages_take_it():
    request = json_format.Parse(FORMATS["otlp-json"](RECORD), ExportLogsServiceRequest())
    (scope,) = request.resource_logs[0].scope_logs
    (record,) = scope.log_records
    assert record.time_unix_nano == 1796092042_948370_000
    assert (record.severity_number, record.severity_text) == (17, "ERROR")
    assert record.body.string_value == RECORD["msg"]
    assert record.event_name == "mporch.log"
    attributes = {each.key: each.value for each in record.attributes}
    assert attributes["exception.type"].string_value == "ValueError"
    assert attributes["mporch.item"].string_value == "q:7"
    assert attributes["n"].int_value == 1
    nested = attributes["d"].kvlist_value.values[0].value.array_value.values
    assert [each.WhichOneof("value") for each in nested] == ["double_value", None, "bool_value"]
    json_format.Parse(FORMATS["otlp-json"](BARE), ExportLogsServiceRequest())


def test_ecs_has_what_its_logging_spec_requires_and_no_field_of_another_type():
    found = json.loads(FORMATS["ecs"](RECORD))
    assert list(found)[:2] == ["ecs.version", "event.dataset"]
    assert (found["@timestamp"], found["log.level"]) == (RECORD["ts"], "error")
    assert found["message"] == RECORD["msg"]
    assert (found["error.type"], found["error.message"]) == ("ValueError", "no")
    assert found["error.stack_trace"] == RECORD["traceback"]
    assert {"error", "event", "log", "process"}.isdisjoint(found)
    assert found["labels"]["item"] == "q:7"
    assert all(not isinstance(value, dict | list) for value in found["labels"].values())
    assert found["mporch"] == {"attempt": 2, "call": "m.py:12 work"}


PAIR = re.compile(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"=]*)(?: |$)')


def test_logfmt_is_read_back_by_its_grammar():
    line = FORMATS["logfmt"](RECORD)
    found = {}
    at = 0
    while at < len(line):
        pair = PAIR.match(line, at)
        assert pair, line[at:]
        at = pair.end()
        key, value = pair.groups()
        found[key] = json.loads(value) if value.startswith('"') else value
    assert found["msg"] == RECORD["msg"]
    assert (found["n"], found["fields.msg"], found["a_b"]) == ("1", "clash", "x")
    assert json.loads(found["d"]) == {"a": [1.5, None, True]}


def test_lnav_s_format_knows_the_fields_of_log_events():
    text = (Path(orchestrator.views.__file__).parent / "lnav-format.json").read_text()
    known = json.loads(text)["mporch_log"]
    assert RECORD.keys() - known["value"].keys() == {"ts"}
    shown = {part["field"] for part in known["line-format"] if isinstance(part, dict)}
    assert shown - {"__timestamp__"} <= known["value"].keys()
    assert CATALOGUE[notifications.Logged].event == "log"
