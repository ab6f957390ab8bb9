"""A console logger that prints what assets say, not what the framework does."""

import logging
import sys

from dagster import InitLoggerContext, logger


class _AssetLines(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        meta = getattr(record, "dagster_meta", {})
        is_event = bool(meta.get("dagster_event"))
        return record.levelno >= logging.ERROR if is_event else record.levelno >= logging.INFO


class _Format(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        step = (meta.get("step_key") or "").removesuffix("__assets")
        # A framework event's trace is in the run's event log; the terminal shows its first line.
        text = str(meta.get("orig_message") or record.getMessage()).splitlines()[0]
        return f"{self.formatTime(record, '%H:%M:%S')} {step:24.24} {text}"


@logger
def asset_lines(_context: InitLoggerContext) -> logging.Logger:
    """Logger of the code location: a line for each thing an asset says, framework events only when they are errors."""
    found = logging.Logger("tidegate", logging.DEBUG)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_AssetLines())
    handler.setFormatter(_Format())
    found.addHandler(handler)
    return found
