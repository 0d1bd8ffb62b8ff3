"""Where tests keep what is slow to make and the same for every run."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """The user's cache directory for our tests; safe to remove at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ona-tests"


def images_dir() -> Path:
    """Where guest images are built once for all runs; ONA_TEST_IMAGES says another place."""
    return Path(os.environ.get("ONA_TEST_IMAGES") or cache_dir() / "images")
