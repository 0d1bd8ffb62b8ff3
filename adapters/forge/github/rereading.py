"""Reads one comment of GitHub again: whether it still stands, and what it says now.

The request is conditional, so that a comment that is as it was costs nothing of the budget.
"""

from collections.abc import Sequence

from adapters.chat.incoming import Reworded, Spot, Waiting, Withdrawn
from adapters.chat.port import Deadline, Gone
from adapters.forge.github.app import App
from adapters.forge.github.calls import UNCHANGED
from adapters.forge.github.place import (
    ISSUE_COMMENT,
    REVIEW,
    REVIEW_COMMENT,
    REVIEWED,
    SURFACE,
    Place,
)
from adapters.forge.github.reading import Reader, comment_of


class GitHubRereads:
    """Reads comments, inline comments and reviews of one GitHub."""

    def __init__(self, app: App, reader: Reader) -> None:
        self._app = app
        self._reader = reader
        self._etags: dict[str, str] = {}
        """What the messages were like when they were read last, by key."""

    def forget_but(self, waiting: Sequence[Waiting]) -> None:
        """Forget what is known of all other messages."""
        kept = {one.key for one in waiting}
        self._etags = {key: etag for key, etag in self._etags.items() if key in kept}

    async def reread(self, waiting: Waiting, deadline: Deadline) -> Sequence[Reworded | Withdrawn]:
        """What changed since, or perhaps did. :raises ChatError:"""
        place = Place.read(waiting.place).whole
        kind, _, number = waiting.key.partition("/")
        if kind == REVIEWED:
            # It is what it was when it was submitted.
            return []
        etag = self._etags.get(waiting.key)
        headers = {"If-None-Match": etag} if etag else {}
        path = f"{_lists(place)[kind]}/{number}"
        try:
            answer = await self._app.call(deadline, place.repository, "GET", path, headers=headers)
        except Gone:
            # Or the repository is: of that nothing is concluded.
            await self._app.call(deadline, place.repository, "GET", "")
            spot = Spot(surface=SURFACE, channel=place.repository, place=waiting.place)
            return [Withdrawn(spot=spot, author=waiting.author, key=waiting.key)]
        if answer.status == UNCHANGED:
            return []
        entry = answer.data
        edited = kind == REVIEW or entry["updated_at"] != entry["created_at"]
        comment = comment_of(kind, place, entry, edited=edited)
        said = (
            await self._reader.comment(comment, f"reread/{waiting.key}", asked_before=True)
            if comment is not None
            else []
        )
        self._etags[waiting.key] = answer.headers.get("etag", "")
        return [one for one in said if isinstance(one, Reworded | Withdrawn)]


def _lists(place: Place) -> dict[str, str]:
    return {
        ISSUE_COMMENT: "/issues/comments",
        REVIEW_COMMENT: "/pulls/comments",
        REVIEW: f"/pulls/{place.number}/reviews",
    }
