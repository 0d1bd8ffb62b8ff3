"""Logs: one line an event on stderr, JSON for machines or a console form for people.

Libraries that log by `logging` come out the same way. What a task bound with
`structlog.contextvars.bind_contextvars` (session, prompt, turn, machine) is on each of its lines.
"""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

from bot.config import LogSettings

TALKATIVE = ("alembic", "asyncssh", "httpx2", "uvicorn")
"""Libraries that say at `info` what belongs to `debug`."""
SECRETIVE = ("httpcore2",)
"""Libraries that say at `debug` what nobody may read: headers, with cookies and tokens."""


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set the logs of this process up; the last call counts.

    :param stream: where lines go; stderr unless given
    """
    target = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    console = settings.format == "console" or (settings.format == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_known(), structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_for_people(target) if console else _for_machines()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else logging.WARNING)
    for name in SECRETIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*_known(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _known() -> list[Processor]:
    """What every line carries, whoever wrote it."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _for_machines() -> list[Processor]:
    # A traceback without local variables: those may hold secrets.
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=str),
    ]


def _for_people(target: TextIO) -> list[Processor]:
    # Values are shown by repr: they come from outside and may hold control characters.
    return [
        structlog.dev.ConsoleRenderer(
            colors=target.isatty(),
            repr_native_str=True,
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]
