"""How the supervisor's log lines look: text for people, or one JSON object a line. On standard error."""

from __future__ import annotations

import logging
import sys
import time

import orjson

from farm.supervisor.loglimit import Limited


class TextFormatter(logging.Formatter):
    """`12:04:31.250 WARNING text`; the level only where it is not INFO. A record's `rows` stand below it, a line each."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        text = f"{clock}.{int(record.msecs):03d} {level}{record.getMessage()}"
        text += "".join(f"\n  {row}" for row in getattr(record, "rows", ()))
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One object a line: time (UTC), level, logger, event, message, a record's own `fields`, exception: where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            **({"event": name} if (name := getattr(record, "event", "")) else {}),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(fields).decode()


def set_up(log_format: str) -> None:
    """Send what `farm` logs to standard error in this format ("text" or "json"). A log that cannot be written stops nothing."""
    logging.raiseExceptions = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logger = logging.getLogger("farm")
    logger.handlers = [Limited(handler)]
    logger.setLevel(logging.INFO)
    logger.propagate = False
