"""Writes settings into `ona.toml` and keeps everything else that stands there."""

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from bot.errors import WrongSettings

Value = str | int | None
"""None: the key is not there afterwards."""
_HEADER = re.compile(r"^\s*\[")


def changed(text: str, section: str, values: Mapping[str, Value]) -> str:
    """The file's text with these keys of a section set; pure.

    It is read again and compared: what can't be changed line by line is not changed at all.

    :raises WrongSettings: it is written in a way that this does not understand
    """
    try:
        after = _by_line(text, section, values)
        if tomllib.loads(after) == _expected(tomllib.loads(text), section, values):
            return after
    except (tomllib.TOMLDecodeError, AttributeError, TypeError):
        pass
    raise WrongSettings(
        f"the section [{section}] is written in a way that can't be changed here",
        kept="the file was not changed",
        do="write the settings into it by hand",
    )


def write(path: Path, section: str, values: Mapping[str, Value]) -> None:
    """Set keys of a section in the file, whole or not at all; it is made where there is none.

    :raises WrongSettings: see `changed`
    :raises OSError: it may not be written
    """
    path = path.resolve()
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    replace(path, changed(before, section, values))


def replace(path: Path, text: str) -> None:
    """Put a file with secrets in place, for its owner alone.

    A group that may read it and others that may not are somebody's intention, and stay.

    :raises OSError: it may not be written
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = path.stat() if path.exists() else path.parent.stat()
    kept = path.exists() and not known.st_mode & 0o007
    mode = known.st_mode & 0o660 if kept else 0o600
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            if os.geteuid() == 0:
                # Whoever ona runs as has to read it.
                os.fchown(file.fileno(), known.st_uid, known.st_gid)
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def shown(section: str, values: Mapping[str, Value]) -> str:
    """The lines as they would stand in the file."""
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join([f"[{section}]", *lines])


def _by_line(text: str, section: str, values: Mapping[str, Value]) -> str:
    lines = text.splitlines()
    begin = next((n for n, line in enumerate(lines) if _is_header(line, section)), None)
    if begin is None:
        new = shown(section, values)
        return f"{text.rstrip()}\n\n{new}\n" if text.strip() else f"{new}\n"
    rest = range(begin + 1, len(lines))
    end = next((n for n in rest if _HEADER.match(lines[n])), len(lines))
    body = lines[begin + 1 : end]
    for key, value in values.items():
        _set(body, key, value)
    return "\n".join([*lines[: begin + 1], *body, *lines[end:]]) + "\n"


def _set(body: list[str], key: str, value: Value) -> None:
    name = re.compile(rf"^\s*(?:{key}|\"{key}\"|'{key}')\s*=")
    at = next((n for n, line in enumerate(body) if name.match(line)), None)
    if value is None:
        if at is not None:
            del body[at]
        return
    line = f"{key} = {_toml(value)}"
    if at is not None:
        body[at] = line
        return
    filled = [n for n, one in enumerate(body) if one.strip() and not one.lstrip().startswith("#")]
    body.insert(filled[-1] + 1 if filled else 0, line)


def _is_header(line: str, section: str) -> bool:
    return re.match(rf"^\s*\[\s*{re.escape(section)}\s*\]\s*(?:#.*)?$", line) is not None


def _expected(before: dict[str, Any], section: str, values: Mapping[str, Value]) -> dict[str, Any]:
    after = deepcopy(before)
    table = after.setdefault(section, {})
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
    return after


def _toml(value: str | int) -> str:
    """A TOML value; JSON's strings are TOML's but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
