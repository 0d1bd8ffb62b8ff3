"""Logs: one line an event, whoever wrote it, with what the task bound."""

import io
import json
import logging
import uuid
from pathlib import Path

import pytest
import structlog

from bot.config import LogSettings
from bot.logs import SECRETIVE, TALKATIVE, configure

log = structlog.get_logger("bot.test")


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in (*TALKATIVE, *SECRETIVE)}
    yield
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def written(**settings) -> io.StringIO:
    stream = io.StringIO()
    configure(LogSettings(**settings), stream)
    return stream


def test_a_line_is_one_json_object_with_time_level_logger_and_values():
    stream = written(format="json")
    session = uuid.uuid4()
    log.info("turn_started", session=session, path=Path("/a"), text="two\nlines")
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "turn_started",
        "level": "info",
        "logger": "bot.test",
        "session": str(session),
        "path": "/a",
        "text": "two\nlines",
    }


def test_what_is_bound_to_the_task_is_on_the_lines_of_libraries_too():
    stream = written(format="json")
    structlog.contextvars.bind_contextvars(turn="t1")
    log.info("ours")
    logging.getLogger("somebody").warning("theirs %s", "here")
    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert ours["turn"] == theirs["turn"] == "t1"
    assert (theirs["event"], theirs["level"], theirs["logger"]) == (
        "theirs here",
        "warning",
        "somebody",
    )


def test_lines_below_the_level_are_not_written():
    stream = written(format="json", level="warning")
    log.info("ours")
    logging.getLogger("somebody").info("theirs")
    log.warning("this")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["this"]


def test_talkative_libraries_are_heard_at_debug_only():
    stream = written(format="json", level="info")
    logging.getLogger("asyncssh").info("chatter")
    assert stream.getvalue() == ""
    stream = written(format="json", level="debug")
    logging.getLogger("asyncssh").info("chatter")
    assert "chatter" in stream.getvalue()


def test_an_exception_is_written_without_local_variables():
    stream = written(format="json")
    password = "hunter2"
    try:
        raise ValueError(f"{len(password)} characters")
    except ValueError:
        log.exception("failed")
    found = json.loads(stream.getvalue())
    assert "ValueError: 7 characters" in found["exception"]
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("kind", ["json", "console"])
def test_control_characters_of_a_value_do_not_reach_the_terminal(kind):
    stream = written(format=kind)
    log.info("said", text="\x1b[2Jgone")
    assert "\x1b" not in stream.getvalue()
    assert "gone" in stream.getvalue()


def test_auto_is_json_when_nobody_looks():
    stream = written(format="auto")
    log.info("said")
    assert json.loads(stream.getvalue())["event"] == "said"


def test_the_last_configuration_counts():
    first = written(format="json")
    second = written(format="json")
    log.info("said")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_what_libraries_say_of_headers_is_logged_at_no_level():
    stream = written(format="json", level="debug")
    for name in SECRETIVE:
        logging.getLogger(f"{name}.http11").debug("set-cookie: a secret")
    assert stream.getvalue() == ""
