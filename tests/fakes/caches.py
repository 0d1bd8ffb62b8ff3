"""Where tests keep what is slow to make and the same for every run."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """The user's cache directory for our tests; safe to remove at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ona-tests"
