"""Named SQL: the few statements that are worth reading as SQL live in `.sql` files.

-- name: claim
-- What it does, in one line.
SELECT …

`{claim}` in another one stands for it.
"""

import re
from pathlib import Path

from sqlalchemy import TextClause, text

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_PART = re.compile(r"\{(\w+)\}")


def load(path: Path) -> dict[str, TextClause]:
    """Return the statements of the file at `path` by their names."""
    parts = _NAME.split(path.read_text(encoding="utf-8"))[1:]
    bodies = {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}
    return {
        name: text(_PART.sub(lambda part: bodies[part[1]], body)) for name, body in bodies.items()
    }
