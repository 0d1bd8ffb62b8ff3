"""Where the embedded PostgreSQL has its socket, and the urls that lead there.

<directory>           when a socket in it can be named, by the kernel and by a url
    <directory>/socket    else: the name of a short directory of our own, as long as the server runs
"""

import contextlib
import errno
import os
import re
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

from bot.errors import Unfit

USER = "postgres"
SOCKET_PATH_BYTES_MAX = 107
SOCKET_NAME = ".s.PGSQL.5432"
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+@~-]+")
"""Commas, quotes and colons mean something in a host list; such a directory gets no socket."""


def choose_socket_dir(directory: Path) -> Path:
    """The directory itself, or a short one of our own when it is no place for a socket.

    :raises Unfit: there is no place for one anywhere
    """
    if _can_hold_socket(directory):
        return directory
    record = directory / "socket"
    with contextlib.suppress(FileNotFoundError):
        recorded = Path(record.read_text().strip())
        if _is_private(recorded):
            return recorded
    made = _make_short_dir()
    record.write_text(f"{made}\n")
    return made


def forget_socket_dir(directory: Path) -> None:
    """Remove the short directory, if one was made; idempotent."""
    record = directory / "socket"
    with contextlib.suppress(FileNotFoundError):
        recorded = Path(record.read_text().strip())
        record.unlink()
        if _is_private(recorded):
            shutil.rmtree(recorded, ignore_errors=True)


def url_of(socket_dir: Path, database: str) -> str:
    """For SQLAlchemy."""
    return f"postgresql+psycopg://{USER}@/{database}?host={quote(str(socket_dir), safe='/')}"


def conninfo_of(url: str) -> str:
    """The same for psycopg."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _can_hold_socket(directory: Path) -> bool:
    path = os.fsencode(directory / SOCKET_NAME)
    return len(path) <= SOCKET_PATH_BYTES_MAX and PLAIN_PATH.fullmatch(str(directory)) is not None


def _is_private(directory: Path) -> bool:
    try:
        found = directory.lstat()
    except OSError:
        return False
    return (
        found.st_uid == os.geteuid()
        and found.st_mode & 0o777 == 0o700
        and directory.is_dir()
        and not directory.is_symlink()
    )


def _make_short_dir() -> Path:
    for parent in (f"/run/user/{os.geteuid()}", "/run", "/tmp"):
        try:
            return Path(tempfile.mkdtemp(prefix="ona-postgres-", dir=parent))
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EPERM, errno.ENOENT, errno.EROFS}:
                raise
    raise Unfit(
        "there is no directory for the socket of PostgreSQL",
        do="choose an ONA_DATA_DIR with a short, plain path",
    )
