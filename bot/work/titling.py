"""Giving a session another title: kept as an event, from which every thread's name follows."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from bot.errors import NotFound, Refused, TooLarge
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.titles import TITLE_CHARACTERS_MAX, tidied
from bot.work.control import Actor
from bot.work.queue import Event, append_events, lock_session

TITLED = "session.titled"
"""Kind of the event: {title, before, by, name, asked_in}."""
OURS_SECONDS = 900.0
"""For which a name that a surface tells may still be one that we gave it: that waits for budget."""

_TITLE = text("SELECT title FROM session WHERE id = :session")
_PUT = text("UPDATE session SET title = :title WHERE id = :session")
_GIVEN = text(
    """
    SELECT EXISTS (
        SELECT 1 FROM turn_event
         WHERE session_id = :session AND kind = 'session.titled'
           AND at > clock_timestamp() - make_interval(secs => :seconds)
           AND body ->> 'title' = :title
           AND coalesce(body ->> 'asked_in', '') <> CAST(:thread AS text))
    """
)


@dataclass(frozen=True, kw_only=True)
class Somewhere:
    """A thread in which its name was changed, by whom the surface may not say."""

    thread_id: UUID
    name: str
    """Who did it, as the event tells it."""
    person_id: UUID | None = None


async def give_title(tx: Transaction, session_id: UUID, by: Actor, said: str) -> str:
    """Let the session be called what `said` says; what its giver is told.

    :raises Refused: there are no words in it
    :raises TooLarge: it is too long
    """
    title = tidied(said)
    if not title:
        raise Refused(_("a title needs words"), kept=_("the old one"))
    if len(title) > TITLE_CHARACTERS_MAX:
        raise TooLarge(
            _(
                "the title has {count} characters and at most {most} fit",
                count=len(title),
                most=TITLE_CHARACTERS_MAX,
            ),
            kept=_("the old one"),
            do=_("say it in fewer words"),
        )
    changed = await _put(tx, session_id, title, {"by": by.id, "name": by.name})
    if not changed:
        return _("It is called that already.")
    return _("The session is called “{title}” now.", title=title)


async def take_over(tx: Transaction, session_id: UUID, where: Somewhere, said: str) -> bool:
    """Let the session be called what its thread is called now; whether that changed anything.

    A name that we gave the thread ourselves changes nothing, even if it arrives late.
    """
    title = tidied(said)[:TITLE_CHARACTERS_MAX]
    given = {
        "session": session_id,
        "title": title,
        "seconds": OURS_SECONDS,
        "thread": str(where.thread_id),
    }
    if not title or await tx.scalar(_GIVEN, given):
        return False
    body = {"by": where.person_id, "name": where.name, "asked_in": where.thread_id}
    return await _put(tx, session_id, title, body)


async def _put(
    tx: Transaction, session_id: UUID, title: str, body: dict[str, UUID | str | None]
) -> bool:
    if await lock_session(tx, session_id) is None:
        raise NotFound(_("this session does not exist"))
    before = str(await tx.scalar(_TITLE, {"session": session_id}) or "")
    if title == before:
        return False
    await tx.execute(_PUT, {"session": session_id, "title": title})
    told = {"title": title, "before": before, **body}
    await append_events(tx, session_id, [Event(kind=TITLED, body=told)])
    return True
