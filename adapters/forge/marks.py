"""Our mark in a post on a forge: a hidden comment that nobody else can write.

A forge keeps no data of ours with a post, so that the mark stands in its text, with a digest that
wants our key. Somebody who copies a comment of ours copies the mark too: a port counts it only in
posts that we are the author of.
"""

import hashlib
import hmac
import re

_MARK = re.compile(r"<!-- ona:([0-9A-Za-z-]{1,64}):([0-9a-f]{32}) -->")
STAMP_LENGTH_MAX = 120
"""Characters that a stamp adds to a post."""


class Marks:
    """Writes and reads the marks of one installation."""

    def __init__(self, secret: bytes) -> None:
        """`secret` is the installation's own, and not one of a forge's, which are renewed."""
        self._key = hmac.digest(secret, b"ona marks of posts on forges", hashlib.sha256)

    def stamp(self, mark: str) -> str:
        """What to put at the end of a post, invisible to its readers."""
        return f"<!-- ona:{mark}:{self._digest(mark)} -->"

    def read(self, body: str) -> str | None:
        """The mark in a post's text; None: none of ours."""
        for mark, digest in _MARK.findall(body):
            if hmac.compare_digest(self._digest(mark), digest):
                return str(mark)
        return None

    def _digest(self, mark: str) -> str:
        return hmac.digest(self._key, mark.encode(), hashlib.sha256).hex()[:32]
