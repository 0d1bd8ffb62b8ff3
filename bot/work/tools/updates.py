"""What the agent posts to its thread while it works: words and pictures.

A picture's bytes come first, as a plain request of a program in the machine: no agent can say a
hundred kilobytes. They are shown once the agent has posted them by their name.
"""

from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import text

from adapters.chat.files import media_type
from bot.errors import NotFound, Refused, TooLarge
from bot.govern.spenders import Spender
from bot.store.database import Database
from bot.store.ids import new_id
from bot.work.queue import Event
from bot.work.tools.calls import Desk, check_length
from bot.work.tools.tool import Arguments, Call, Tool

UPDATE_CHARACTERS_MAX = 1_500
UPDATES_MAX = 20
"""Of one turn."""
CAPTION_CHARACTERS_MAX = 200
PICTURE_BYTES_MAX = 5 * 1024 * 1024
PICTURES_MAX = 10
"""Of one turn, posted or not."""
SESSION_PICTURES_MAX = 100
"""Of one session."""

POST_UPDATE = (
    "Post a few sentences to the people in this session's thread while you work on. Your final"
    " answer is posted by itself; use this for what they should know before."
)
POST_PICTURE = (
    "Show a picture, such as a screenshot, to the people in this session's thread. Upload the file"
    " first: `curl -sS --fail-with-body -H 'Content-Type: image/png' --data-binary @FILE"
    " http://gateway.ona/tools/pictures` prints its name. Of a web page that is served on a port"
    " here, the command `ona-preview PORT --picture /PATH` takes one and posts it by itself."
)

_KEEP = text(
    """
    INSERT INTO picture (id, session_id, turn_id, media_type, data)
    SELECT :id, :session, :turn, :media_type, :data
     WHERE (SELECT count(*) FROM picture WHERE turn_id = :turn) < :most
       AND (SELECT count(*) FROM picture WHERE session_id = :session) < :session_most
       AND EXISTS (SELECT FROM turn WHERE id = :turn AND state = 'running')
    RETURNING id
    """
)
_POST = text(
    """
    UPDATE picture SET caption = :caption, posted_at = now()
     WHERE id = :picture AND turn_id = :turn AND posted_at IS NULL
    RETURNING media_type, octet_length(data) AS size
    """
)


class Pictures:
    """Keeps the bytes of pictures."""

    def __init__(self, database: Database) -> None:
        """In the database, with their sessions."""
        self._database = database

    async def keep(self, turn: Spender, data: bytes) -> UUID:
        """What a picture is called by. :raises TellPerson: it is none, or there are too many"""
        if len(data) > PICTURE_BYTES_MAX:
            raise TooLarge(f"a picture has at most {PICTURE_BYTES_MAX:,} bytes")
        kind = media_type(data)
        if kind is None or not kind.startswith("image/"):
            raise Refused("this is no PNG, JPEG, GIF or WebP picture")
        values = {
            "id": new_id(),
            "session": turn.session_id,
            "turn": turn.turn_id,
            "media_type": kind,
            "data": data,
            "most": PICTURES_MAX,
            "session_most": SESSION_PICTURES_MAX,
        }
        async with self._database.begin() as tx:
            kept: UUID | None = await tx.scalar(_KEEP, values)
        if kept is None:
            raise Refused(
                f"a turn has at most {PICTURES_MAX} pictures, and a session {SESSION_PICTURES_MAX}"
            )
        return kept


class PostUpdate(Arguments):
    """Arguments of `post_update`."""

    text: str = Field(description="one to three sentences, plain text")


class PostPicture(Arguments):
    """Arguments of `post_picture`."""

    picture: str = Field(description="the name that the upload printed")
    caption: str = Field(description="what it shows, one sentence")


class Updates:
    """The tools of this group."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def tools(self) -> list[Tool[Any]]:
        """As agents are told of them."""
        return [
            Tool(
                name="post_update",
                about=POST_UPDATE,
                takes=PostUpdate,
                run=self.post_update,
                per_turn_max=UPDATES_MAX,
            ),
            Tool(
                name="post_picture",
                about=POST_PICTURE,
                takes=PostPicture,
                run=self.post_picture,
                per_turn_max=PICTURES_MAX,
            ),
        ]

    async def post_update(self, call: Call, given: PostUpdate) -> str:
        """Say something in the session's threads."""
        said = check_length("text", given.text, UPDATE_CHARACTERS_MAX)
        async with self._desk.begin(call) as entry:
            entry.events.append(Event(kind="update", body={"text": said}))
            entry.facts["text"] = said
        return "Posted."

    async def post_picture(self, call: Call, given: PostPicture) -> str:
        """Show a picture that was uploaded in this turn."""
        caption = check_length("caption", given.caption, CAPTION_CHARACTERS_MAX)
        picture = _named(given.picture)
        values = {"picture": picture, "turn": call.turn.turn_id, "caption": caption}
        async with self._desk.begin(call) as entry:
            row = (await entry.tx.execute(_POST, values)).one_or_none()
            if row is None:
                raise _unknown()
            body = {
                "picture": picture,
                "text": caption,
                "media_type": row.media_type,
                "session": entry.asker.short,
            }
            entry.events.append(Event(kind="picture", body=body))
            entry.facts |= {"picture": str(picture), "caption": caption, "bytes": row.size}
        return "Posted."


def _named(name: str) -> UUID:
    try:
        return UUID(name.strip())
    except ValueError:
        raise _unknown() from None


def _unknown() -> NotFound:
    return NotFound(
        "no picture of that name was uploaded in this turn, or it is posted already",
        do="upload the file first; the upload prints the name",
    )
