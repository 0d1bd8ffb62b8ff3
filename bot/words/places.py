"""Where the terminal talks; pure."""

import os
from pathlib import Path


def here(directory: Path, project: str | None = None) -> str:
    """A directory is a place where one talks; so is each project that is named in it."""
    # A directory whose name is no text is still one place.
    place = os.fsencode(directory).decode(errors="backslashreplace")
    return f"{place}#{project}" if project else place
