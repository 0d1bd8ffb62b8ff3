"""Whether a process is at something of which one may be."""

import fcntl
from pathlib import Path


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file at `path`, as `bot.ground.only_process` does."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
