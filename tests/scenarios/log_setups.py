# ruff: noqa: E501 -- programs as people write them
"""Forty usual ways to set up logging, each with the events that it shall become.

Each is a module with `work(x)`. Of an expected event's texts `{x}` is the item.
"""

import dataclasses
import socket
from collections.abc import Mapping, Sequence
from typing import Any

BAD = """
    try:
        1 / 0
    except ZeroDivisionError:
"""


@dataclasses.dataclass(frozen=True)
class E:
    """An event `log`. `error`: it has the type and the one traceback of a ZeroDivisionError."""

    level: str
    logger: str
    msg: str
    fields: Mapping[str, Any] | None = None
    error: bool = False
    thread: str | None = None


@dataclasses.dataclass(frozen=True)
class Setup:
    """Code, the records of each item, those of the import, the lines that stay output, its files."""

    code: str
    events: Sequence[E]
    imported: Sequence[E] = ()
    printed: Sequence[str] = ()
    files: Sequence[str] = ()


def error(logger, msg="bad {x}", fields=None, level="error"):
    return E(level, logger, msg, fields, error=True)


SETUPS = {
    # -- logging ----------------------------------------------------------------------------------
    "nothing": Setup(
        """
import logging
log = logging.getLogger("app")
def work(x):
    log.debug("too fine")
    log.info("plain %s", x)
    log.warning("with", extra={"n": x, "d": {"a": [1, None]}})
    try: 1 / 0
    except ZeroDivisionError: log.exception("bad %s", x)
""",
        [
            E("info", "app", "plain {x}"),
            E("warning", "app", "with", {"n": "{x}", "d": {"a": [1, None]}}),
            error("app"),
        ],
    ),
    "basic_debug": Setup(
        """
import logging
logging.basicConfig(level=logging.DEBUG)
logging.info("import")
def work(x):
    logging.debug("fine %s", x)
    logging.info("coarse %s", x)
""",
        [E("debug", "root", "fine {x}"), E("info", "root", "coarse {x}")],
        imported=[E("info", "root", "import")],
    ),
    "basic_error": Setup(
        """
import logging
logging.basicConfig(level=logging.ERROR)
def work(x):
    logging.warning("no"); logging.error("yes %s", x)
""",
        [E("error", "root", "yes {x}")],
    ),
    "basic_force": Setup(
        """
import logging
logging.basicConfig(force=True, level=logging.DEBUG, format="%(asctime)s [%(levelname)s] %(message)s")
def work(x):
    logging.info("forced %s", x)
    try: 1 / 0
    except ZeroDivisionError: logging.exception("bad %s", x)
""",
        [E("info", "root", "forced {x}"), error("root")],
    ),
    "basic_file": Setup(
        """
import logging
logging.basicConfig(filename="basic_file.log", format="%(levelname)s:%(name)s:%(message)s")
def work(x):
    logging.info("not in the file"); logging.warning("in the file %s", x)
""",
        [E("info", "root", "not in the file"), E("warning", "root", "in the file {x}")],
        files=["basic_file.log"],
    ),
    "rotating": Setup(
        """
import logging, logging.handlers
handler = logging.handlers.RotatingFileHandler("rotating.log", maxBytes=10000, backupCount=1)
log = logging.getLogger("rot"); log.addHandler(handler); log.setLevel(logging.DEBUG)
def work(x):
    log.debug("kept %s", x)
""",
        [E("debug", "rot", "kept {x}")],
        files=["rotating.log"],
    ),
    "dict_disabling": Setup(
        """
import logging, logging.config
early = logging.getLogger("early"); early.warning("import")
logging.config.dictConfig({
    "version": 1, "formatters": {"f": {"format": "%(levelname)s %(message)s"}},
    "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
    "root": {"level": "DEBUG", "handlers": ["h"]}})
def work(x):
    early.error("disabled, as in Python")
    logging.getLogger("new").info("new %s", x, extra={"k": x}); logging.debug("fine")
""",
        [E("info", "new", "new {x}", {"k": "{x}"}), E("debug", "root", "fine")],
        imported=[E("warning", "early", "import")],
    ),
    "dict_no_propagate": Setup(
        """
import logging, logging.config, sys
logging.config.dictConfig({
    "version": 1, "disable_existing_loggers": False,
    "formatters": {"f": {"format": "%(name)s|%(message)s"}},
    "handlers": {"h": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "f"}},
    "loggers": {"app": {"level": "DEBUG", "handlers": ["h"], "propagate": False}}})
def work(x):
    logging.getLogger("app.x").debug("deep %s", x); logging.getLogger("other").info("other")
""",
        [E("debug", "app.x", "deep {x}"), E("info", "other", "other")],
    ),
    "file_config": Setup(
        """
import io, logging, logging.config
logging.config.fileConfig(io.StringIO('''[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=f
[logger_root]
level=INFO
handlers=h
[handler_h]
class=StreamHandler
formatter=f
args=(sys.stderr,)
[formatter_f]
format=%(levelname)s %(message)s
'''))
def work(x):
    logging.getLogger("ini").info("from %s", x)
""",
        [E("info", "ini", "from {x}")],
    ),
    "own_handler_and_root": Setup(
        """
import logging
logging.basicConfig(level=logging.INFO)
log = logging.getLogger("both"); log.addHandler(logging.StreamHandler())
def work(x):
    log.info("once %s", x)
""",
        [E("info", "both", "once {x}")],
    ),
    "root_handlers_replaced": Setup(
        """
import logging, sys
logging.getLogger().handlers = [logging.StreamHandler(sys.stdout)]
logging.getLogger().setLevel("INFO")
def work(x):
    logging.getLogger("r").error("once %s", x)
""",
        [E("error", "r", "once {x}")],
    ),
    "queue_listener": Setup(
        """
import logging, logging.handlers, queue, atexit
q = queue.Queue()
listener = logging.handlers.QueueListener(q, logging.StreamHandler(), logging.FileHandler("queue.log"))
log = logging.getLogger("qq"); log.propagate = False; log.setLevel(logging.DEBUG)
log.addHandler(logging.handlers.QueueHandler(q)); listener.start(); atexit.register(listener.stop)
def work(x):
    log.info("via %s", x, extra={"k": 1})
    try: 1 / 0
    except ZeroDivisionError: log.exception("bad %s", x)
""",
        [E("info", "qq", "via {x}", {"k": 1}), error("qq")],
        files=["queue.log"],
    ),
    "queue_before_root": Setup(
        """
import logging, logging.handlers, queue, atexit
logging.basicConfig(level=logging.INFO)
q, root = queue.Queue(), logging.getLogger()
listener = logging.handlers.QueueListener(q, *root.handlers, respect_handler_level=True)
root.handlers[:] = [logging.handlers.QueueHandler(q)]; listener.start(); atexit.register(listener.stop)
def work(x):
    logging.info("via %s", x)
""",
        [E("info", "root", "via {x}")],
    ),
    "memory_handler": Setup(
        """
import logging, logging.handlers
target = logging.StreamHandler()
log = logging.getLogger("mem"); log.setLevel(logging.DEBUG)
log.addHandler(logging.handlers.MemoryHandler(100, logging.ERROR, target))
def work(x):
    log.debug("before %s", x); log.error("flushes %s", x)
""",
        [E("debug", "mem", "before {x}"), E("error", "mem", "flushes {x}")],
    ),
    "handler_level_and_filter": Setup(
        """
import logging
handler = logging.StreamHandler(); handler.setLevel(logging.WARNING)
class Redacts(logging.Filter):
    def filter(self, record):
        record.msg = str(record.msg).replace("secret", "***"); return True
handler.addFilter(Redacts())
log = logging.getLogger("f"); log.addHandler(handler); log.setLevel(logging.INFO)
def work(x):
    log.info("quiet %s", x); log.warning("a secret %s", x)
""",
        [E("info", "f", "quiet {x}"), E("warning", "f", "a *** {x}")],
    ),
    "levels_renamed": Setup(
        """
import logging
logging.addLevelName(logging.ERROR, "E")
logging.addLevelName(logging.WARNING, "\\x1b[1;31mWARNING\\x1b[0m")
logging.addLevelName(25, "NOTICE")
log = logging.getLogger("lev")
def work(x):
    log.error("e"); log.warning("w"); log.log(25, "n"); log.log(35, "between"); log.critical("c")
""",
        [
            E("error", "lev", "e"),
            E("warning", "lev", "w"),
            E("info", "lev", "n"),
            E("warning", "lev", "between"),
            E("critical", "lev", "c"),
        ],
    ),
    "odd_values": Setup(
        """
import datetime, decimal, enum, logging, pathlib, uuid
class E(enum.Enum): A = 1
class Bad:
    def __repr__(self): raise RuntimeError("no")
def work(x):
    logging.getLogger("v").error("odd", extra={
        "at": datetime.datetime(2020, 1, 1), "id": uuid.UUID(int=1), "dec": decimal.Decimal("1.10"),
        "path": pathlib.Path("/a"), "e": E.A, "s": {1}, "b": b"\\xff", "nan": float("nan"),
        "big": 1 << 70, "bad": Bad(), "none": None})
""",
        [
            E(
                "error",
                "v",
                "odd",
                {
                    "at": "2020-01-01T00:00:00",
                    "id": "00000000-0000-0000-0000-000000000001",
                    "dec": "1.10",
                    "path": "/a",
                    "e": 1,
                    "s": [1],
                    "b": "\\xff",
                    "nan": "nan",
                    "big": str(1 << 70),
                    "bad": "<odd_values.Bad, whose repr raised RuntimeError>",
                    "none": None,
                },
            )
        ],
    ),
    "adapter_and_json_message": Setup(
        """
import json, logging
log = logging.LoggerAdapter(logging.getLogger("ad"), {"req": "r1"})
def work(x):
    log.info("adapted %s", x)
    logging.getLogger("j").warning(json.dumps({"event": "in json", "n": x}))
    logging.getLogger("d").info({"event": "in a dict", "n": x})
""",
        [
            E("info", "ad", "adapted {x}", {"req": "r1"}),
            E("warning", "j", "in json", {"n": "{x}"}),
            E("info", "d", "in a dict", {"n": "{x}"}),
        ],
    ),
    "threads_and_warnings": Setup(
        """
import logging, threading, warnings
logging.captureWarnings(True)
log = logging.getLogger("t")
def work(x):
    thread = threading.Thread(target=lambda: log.info("in a thread"), name="mine")
    thread.start(); thread.join()
    log.info("in %s", threading.current_thread().name)
""",
        [E("info", "t", "in a thread", thread="mine"), E("info", "t", "in MainThread")],
    ),
    "tee": Setup(
        """
import logging, sys
class Tee:
    def __init__(self, stream): self.stream, self.file = stream, open("tee.log", "a")
    def write(self, text): self.stream.write(text); self.file.write(text)
    def flush(self): self.stream.flush(); self.file.flush()
sys.stdout = Tee(sys.stdout)
logging.basicConfig(stream=sys.stdout, level="INFO", format="%(message)s")
def work(x):
    logging.info("logged %s", x); print("printed", x)
""",
        [E("info", "root", "logged {x}")],
        printed=["printed {x}"],
        files=["tee.log"],
    ),
    "tee_with_descriptor": Setup(
        """
import logging, logging.handlers, queue, sys
class Tee:
    def __init__(self, stream): self.stream, self.file = stream, open("tee1.log", "a")
    def write(self, text): self.stream.write(text); self.file.write(text)
    def flush(self): self.file.flush()
    def fileno(self): return self.stream.fileno()
    def isatty(self): return False
sys.stdout = Tee(sys.stdout)
logging.basicConfig(stream=sys.stdout, level="INFO", format="%(message)s")
import structlog
from loguru import logger as loguru
structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
loguru.remove(); loguru.add(sys.stdout, format="{message}")
listener = logging.handlers.QueueListener(queue.SimpleQueue(), logging.StreamHandler(sys.stdout))
queued = logging.getLogger("queued"); queued.propagate = False
queued.addHandler(logging.handlers.QueueHandler(listener.queue))
def work(x):
    print("begun", x, end=" "); logging.info("logged %s", x); print("printed", x)
    structlog.get_logger("sl").error("event", n=x); loguru.info("by loguru {}", x)
    listener.start(); queued.error("later %s", x); listener.stop()
""",
        [
            E("info", "root", "logged {x}"),
            E("error", "sl", "event", {"n": "{x}"}),
            E("info", "tee_with_descriptor", "by loguru {x}"),
            E("error", "queued", "later {x}"),
        ],
        printed=["begun {x} printed {x}"],
        files=["tee1.log"],
    ),
    "own_handler_class": Setup(
        """
import json, logging
class Keeps(logging.Handler):
    def emit(self, record):
        with open("kept.log", "a") as file:
            known = {k: type(v).__name__ for k, v in vars(record).items()}
            print(json.dumps([record.getMessage(), sorted(known.items())]), file=file)
logging.getLogger("h").addHandler(Keeps())
def work(x):
    logging.getLogger("h").info("dropped by Python's level")
    logging.getLogger("h").warning("kept %s", x, extra={"mine": 1})
""",
        [
            E("info", "h", "dropped by Python's level"),
            E("warning", "h", "kept {x}", {"mine": 1}),
        ],
        files=["kept.log"],
    ),
    # -- structlog --------------------------------------------------------------------------------
    "structlog_default": Setup(
        """
import structlog
log = structlog.get_logger("named")
log.info("import", a=1)
def work(x):
    log.debug("fine"); log.bind(user="u").warning("slow", ms=1.5, d={"a": [x]})
    structlog.contextvars.bind_contextvars(req=f"r{x}")
    try: 1 / 0
    except ZeroDivisionError: log.exception("bad", k=1)
    structlog.contextvars.clear_contextvars()
""",
        [
            E("debug", "named", "fine"),
            E("warning", "named", "slow", {"user": "u", "ms": 1.5, "d": {"a": ["{x}"]}}),
            error("named", "bad", {"req": "r{x}", "k": 1}),
        ],
        imported=[E("info", "named", "import", {"a": 1})],
    ),
    "structlog_then_tee": Setup(
        """
import contextlib, io, sys
import structlog
class Tee(io.StringIO):
    def write(self, text): return super().write(text) + sys.__stdout__.write(text)
    def fileno(self): return sys.__stdout__.fileno()
log = structlog.get_logger("sl")
def work(x):
    with contextlib.redirect_stdout(Tee()) as tee:
        log.warning("to both", n=x)
    with contextlib.redirect_stdout(io.StringIO()) as away:
        log.warning("away", n=x)
    print(*("to both" in tee.getvalue(), "away" in away.getvalue()))
""",
        [E("warning", "sl", "to both", {"n": "{x}"})],
        printed=["True True"],
    ),
    "structlog_json": Setup(
        """
import structlog
structlog.configure(processors=[structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso"),
    structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()])
log = structlog.get_logger()
def work(x):
    log.warning("slow", d={"a": [x]})
    try: 1 / 0
    except ZeroDivisionError: log.exception("bad")
""",
        [
            E("warning", "structlog_json", "slow", {"d": {"a": ["{x}"]}}),
            error("structlog_json", "bad"),
        ],
    ),
    "structlog_console": Setup(
        """
import structlog
structlog.configure(processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer()],
    wrapper_class=structlog.make_filtering_bound_logger(20),
    logger_factory=structlog.PrintLoggerFactory(), cache_logger_on_first_use=True)
log = structlog.get_logger()
def work(x):
    log.debug("off"); log.error("drawn", n=x)
""",
        [E("error", "structlog_console", "drawn", {"n": "{x}"})],
    ),
    "structlog_key_values": Setup(
        """
import structlog
structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
log = structlog.get_logger()
def work(x):
    log.warning("kv", n=x)
""",
        [E("warning", "structlog_key_values", "kv", {"n": "{x}"})],
    ),
    "structlog_own_renderer": Setup(
        """
import structlog
structlog.configure(processors=[lambda logger, name, event: f"<{event['event']}>"])
log = structlog.get_logger()
def work(x):
    log.error("mine %s", x)
""",
        [E("error", "structlog_own_renderer", "<mine {x}>")],
    ),
    "structlog_bytes": Setup(
        """
import json, structlog
structlog.configure(processors=[structlog.processors.add_log_level,
    structlog.processors.JSONRenderer(serializer=lambda v, **_: json.dumps(v).encode())],
    logger_factory=structlog.BytesLoggerFactory())
log = structlog.get_logger()
def work(x):
    log.error("bytes", n=x)
""",
        [E("error", "structlog_bytes", "bytes", {"n": "{x}"})],
    ),
    "structlog_to_a_file": Setup(
        """
import structlog
structlog.configure(processors=[structlog.processors.KeyValueRenderer()],
    logger_factory=structlog.WriteLoggerFactory(file=open("structlog.log", "a", buffering=1)))
log = structlog.get_logger()
def work(x):
    log.error("only in its file", n=x)
""",
        [],
        files=["structlog.log"],
    ),
    "structlog_stdlib_json": Setup(
        """
import logging, structlog, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout, level=logging.INFO)
structlog.configure(processors=[structlog.stdlib.filter_by_level, structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level, structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso"), structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    wrapper_class=structlog.stdlib.BoundLogger, logger_factory=structlog.stdlib.LoggerFactory())
log = structlog.get_logger("my.mod")
def work(x):
    log.warning("slow", ms=1.5); log.info("pos %d", x)
    try: 1 / 0
    except ZeroDivisionError: log.exception("bad", k=1)
""",
        [
            E("warning", "my.mod", "slow", {"ms": 1.5}),
            E("info", "my.mod", "pos {x}"),
            error("my.mod", "bad", {"k": 1}),
        ],
    ),
    "structlog_stdlib_kwargs": Setup(
        """
import structlog
structlog.configure(processors=[structlog.contextvars.merge_contextvars,
    structlog.stdlib.filter_by_level, structlog.processors.format_exc_info,
    structlog.stdlib.render_to_log_kwargs],
    wrapper_class=structlog.stdlib.BoundLogger, logger_factory=structlog.stdlib.LoggerFactory())
log = structlog.get_logger("kw")
def work(x):
    log.warning("slow", d={"a": x})
    try: 1 / 0
    except ZeroDivisionError: log.exception("bad", k=1)
""",
        [E("warning", "kw", "slow", {"d": {"a": "{x}"}}), error("kw", "bad", {"k": 1})],
    ),
    "structlog_processor_formatter": Setup(
        """
import logging, structlog
structlog.configure(processors=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name,
    structlog.contextvars.merge_contextvars, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger)
handler = logging.StreamHandler()
handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[
    structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.dev.ConsoleRenderer()]))
root = logging.getLogger(); root.addHandler(handler); root.setLevel(logging.INFO)
log = structlog.get_logger("my.mod")
def work(x):
    log.warning("slow", ms=1.5); logging.getLogger("std").info("foreign", extra={"a": x})
    try: 1 / 0
    except ZeroDivisionError: log.exception("bad", k=1)
""",
        [
            E("warning", "my.mod", "slow", {"ms": 1.5}),
            E("info", "std", "foreign", {"a": "{x}"}),
            error("my.mod", "bad", {"k": 1}),
        ],
    ),
    "structlog_async": Setup(
        """
import asyncio, structlog
log = structlog.get_logger("as")
async def main(x):
    with structlog.contextvars.bound_contextvars(task=x):
        await log.ainfo("async", n=x)
def work(x):
    asyncio.run(main(x))
""",
        [E("info", "as", "async", {"n": "{x}", "task": "{x}"}, thread="asyncio_0")],
    ),
    # -- others -----------------------------------------------------------------------------------
    "loguru_default": Setup(
        """
from loguru import logger
def work(x):
    logger.bind(user="u").warning("slow {}", x); logger.success("ok")
    try: 1 / 0
    except ZeroDivisionError: logger.exception("bad")
""",
        [
            E("warning", "loguru_default", "slow {x}", {"user": "u"}),
            E("info", "loguru_default", "ok"),
            error("loguru_default", "bad"),
        ],
    ),
    "loguru_configured": Setup(
        """
import sys
from loguru import logger
logger.remove(0)
logger.add(sys.stderr, level="INFO", format="{level} {message}", serialize=True)
logger.add("loguru.log", format="{level} {message}")
def work(x):
    logger.debug("only in the file"); logger.error("e {}", x)
""",
        [E("error", "loguru_configured", "e {x}")],
        files=["loguru.log"],
    ),
    "logging_into_loguru": Setup(
        """
import logging
from loguru import logger
class Intercepts(logging.Handler):
    def emit(self, record):
        logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())
logging.basicConfig(handlers=[Intercepts()], level=0, force=True)
def work(x):
    logging.getLogger("std").warning("once %s", x)
""",
        [E("warning", "std", "once {x}")],
    ),
    "json_formatter": Setup(
        """
import logging
from pythonjsonlogger.json import JsonFormatter
handler = logging.StreamHandler()
handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
logging.getLogger().handlers = [handler]
def work(x):
    logging.getLogger("j").error("json %s", x, extra={"k": {"a": 1}})
""",
        [E("error", "j", "json {x}", {"k": {"a": 1}})],
    ),
    "rich_handler": Setup(
        """
import logging
from rich.logging import RichHandler
logging.basicConfig(level="NOTSET", format="%(message)s", handlers=[RichHandler(rich_tracebacks=True)])
def work(x):
    logging.getLogger("rich").warning("a long text that goes on and on and on and on and on %s", x)
    try: 1 / 0
    except ZeroDivisionError: logging.getLogger("rich").exception("bad %s", x)
""",
        [
            E("warning", "rich", "a long text that goes on and on and on and on and on {x}"),
            error("rich"),
        ],
    ),
    "coloured": Setup(
        """
import coloredlogs, logging
coloredlogs.install(level="DEBUG")
def work(x):
    logging.getLogger("cl").debug("d"); logging.getLogger("cl").error("cl %s", x)
""",
        [
            E("debug", "cl", "d", {"hostname": socket.gethostname()}),
            E("error", "cl", "cl {x}", {"hostname": socket.gethostname()}),
        ],
    ),
    "absl_logging": Setup(
        """
from absl import logging
def work(x):
    logging.info("absl %s", x); logging.error("absl err")
""",
        [E("info", "absl", "absl {x}"), E("error", "absl", "absl err")],
    ),
    "sentry_sdk_set_up": Setup(
        """
import logging, sentry_sdk
from sentry_sdk.transport import Transport
class Keeps(Transport):
    def capture_envelope(self, envelope):
        event = envelope.get_event()
        with open("sentry.log", "a") as file:
            print(event["level"], event["logentry"]["message"], event["logger"], file=file)
sentry_sdk.init(dsn="http://a@127.0.0.1:1/1", transport=Keeps)
def work(x):
    logging.error("to sentry %s", x)
""",
        [E("error", "root", "to sentry {x}")],
        files=["sentry.log"],
    ),
    "otel": Setup(
        """
import logging
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter(
    out=open("otel.log", "a", buffering=1),
    formatter=lambda r: f"{getattr(r, 'log_record', r).body} {sorted(getattr(r, 'log_record', r).attributes)}\\n")))
logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
def work(x):
    logging.getLogger("ot").error("otel %s", x, extra={"k": 1})
""",
        [E("error", "ot", "otel {x}", {"k": 1})],
        files=["otel.log"],
    ),
    # -- printed ----------------------------------------------------------------------------------
    "printed_json": Setup(
        """
import json
def work(x):
    print(json.dumps({"level": "error", "msg": "from a program", "n": x}))
    print(json.dumps({"event": "row", "n": x}))
""",
        [E("error", "", "from a program", {"n": "{x}"})],
        printed=['{"event": "row", "n": {x}}'],
    ),
}
"""What stays output: eliot's lines have no level, and a line that is data has none either."""
