"""Named SQL: the few statements that are worth reading as SQL live in `.sql` files.

-- name: claim
-- What it does, in one line.
SELECT …
"""

import re
from pathlib import Path

from sqlalchemy import TextClause, text

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(path: Path) -> dict[str, TextClause]:
    """Return the statements of the file at `path` by their names."""
    parts = _NAME.split(path.read_text(encoding="utf-8"))[1:]
    return {name: text(body.strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)}
