"""Starting a server of ours that has to outlive whoever starts it, with a log of bounded length."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG_BYTES_MAX = 8 * 1024 * 1024
"""At a start; a longer one is put aside as `log.old`."""


def open_log(path: Path) -> int:
    """A descriptor to append to."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_name("log.old"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def spawn(argv: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Start a program whose words go to a log; the pid of our child.

    It has a session of its own: Ctrl-C in the terminal must reach our processes and not the server
    that they still need to end cleanly. No Popen: the server outlives us.
    """
    said = open_log(log)
    try:
        return os.posix_spawn(
            argv[0],
            list(argv),
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, said, 1),
                (os.POSIX_SPAWN_DUP2, said, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(said)
