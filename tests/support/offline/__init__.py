"""Tests run without the internet; see `offline_guard`."""

import os
import tempfile
from pathlib import Path

from tests.support.offline import offline_guard

HERE = Path(__file__).parent
ONLINE_MARKS = ("vm", "nested")
"""Tests with images of machines, which are built from the packages of Debian and npm."""


def begin() -> None:
    """Guard this process, and every Python that it starts."""
    descriptor, told = tempfile.mkstemp(prefix="offline-")
    os.close(descriptor)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = path(*([before] if before else []))
    os.environ[offline_guard.TOLD] = told
    os.environ.setdefault(offline_guard.NETWORK, offline_guard.network())
    offline_guard.install()


def path(*directories: str | Path) -> str:
    """PYTHONPATH of a process that imports from these and is guarded."""
    return os.pathsep.join(map(str, (HERE, *directories)))


def let(online: bool) -> None:
    """Whether the internet may be asked from now on."""
    if online:
        os.environ[offline_guard.ONLINE] = "1"
    else:
        os.environ.pop(offline_guard.ONLINE, None)


def told() -> str:
    """What was refused since this was asked last."""
    path = Path(os.environ[offline_guard.TOLD])
    said = path.read_text(encoding="utf-8") if path.stat().st_size else ""
    if said:
        path.write_text("", encoding="utf-8")
    return said


def end() -> None:
    """Remove what this process wrote down."""
    Path(os.environ[offline_guard.TOLD]).unlink(missing_ok=True)
