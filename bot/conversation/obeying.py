"""Doing what a command asks, and saying so."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Quoted
from adapters.chat.terminal import PULL_SURFACES
from bot.conversation import commands, words
from bot.conversation.prompting import Added, add_prompt
from bot.conversation.threads import Found, title
from bot.errors import NotFound, NothingToDo
from bot.govern import halting
from bot.govern.halt import halted
from bot.store.states import SessionState
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.catalogue import spoken, together
from bot.work import control, quoting, undo_rows, undo_words
from bot.work.control import Actor
from bot.work.queue import lock_session, waiting_place
from bot.work.undo import UNDO, decide

RETRY = "retry"
"""The surface of a prompt that was asked again, as its event says it."""

_LAST_PROMPT = text(
    """
    SELECT prompt.id, prompt.kind, prompt.read_only,
           (SELECT string_agg(delivery.text, E'\n' ORDER BY delivery.event)
              FROM delivery WHERE delivery.prompt_id = prompt.id) AS text,
           (SELECT coalesce(jsonb_agg(one.value ORDER BY delivery.event, one.place), '[]')
              FROM delivery, jsonb_array_elements(delivery.quoted)
                   WITH ORDINALITY AS one (value, place)
             WHERE delivery.prompt_id = prompt.id) AS quoted
      FROM prompt JOIN turn ON turn.prompt_id = prompt.id
     WHERE prompt.session_id = :session AND prompt.state = 'done'
       AND NOT (prompt.kind = 'undo' AND turn.state = 'succeeded')
     ORDER BY prompt.position DESC LIMIT 1
    """
)
_MUTE = text(
    """
    UPDATE thread SET muted = :muted WHERE id = :thread AND surface <> ALL(:pulled) RETURNING id
    """
)


@dataclass(frozen=True, kw_only=True)
class Obeyed:
    """What a person is told of their command, and the prompt that it made."""

    told: str
    added: Added | None = None
    said: str = ""
    """The words of that prompt."""
    quoted: tuple[Quoted, ...] = ()
    """What went with them."""
    like: UUID | None = None
    """The prompt whose files go with them as well."""


async def obey(
    tx: Transaction,
    found: Found | None,
    actor: Actor,
    command: commands.Command,
    *,
    recent: Callable[[Transaction], Awaitable[Sequence[Mapping[str, Any]]]],
) -> Obeyed:
    """Do what a command asks and say so.

    :param found: the session that it is about; None: the thread has none
    :param recent: reads the sessions that were active last, of those that the actor may see
    :raises NothingToDo: it needs a session, or there is nothing that it could be done to
    """
    word = command.word
    if word == "help":
        return Obeyed(told=_(words.HELP))
    if word == "sessions":
        return Obeyed(told=words.sessions(await recent(tx)))
    if found is None:
        raise NothingToDo(
            _("there is no session in this thread, so `{word}` has no object", word=word),
            do=_("write a prompt to open one, or `sessions` to find another"),
        )
    if word == "retry":
        return await _retry(tx, found, actor)
    if word == "undo":
        return await _undo(tx, found, actor)
    return Obeyed(told=await _obey(tx, found, actor, word, command.number or 0))


async def _obey(
    tx: Transaction,
    found: Found,
    actor: Actor,
    word: Literal[
        "stop", "stop all", "resume", "clear", "cancel", "mute", "unmute", "status", "queue"
    ],
    number: int,
) -> str:
    session_id = found.session_id
    match word:
        case "stop" | "stop all":
            told = await control.stop(tx, session_id, actor, clear=word == "stop all")
        case "resume":
            told = await control.resume(tx, session_id, actor)
        case "clear":
            told = await control.clear(tx, session_id, actor)
        case "cancel":
            told = await control.cancel(tx, session_id, actor, number)
        case "mute" | "unmute":
            told = await _mute(tx, found, muted=word == "mute")
        case "status" | "queue":
            told = await _status(tx, found)
        case _:
            assert_never(word)
    return told


async def _mute(tx: Transaction, found: Found, *, muted: bool) -> str:
    asked = {"thread": found.thread_id, "muted": muted, "pulled": list(PULL_SURFACES)}
    if (await tx.execute(_MUTE, asked)).first() is None:
        return _(words.NOT_MUTED)
    return _("Muted: answers wait on the session's page.") if muted else _("Unmuted.")


async def _status(tx: Transaction, found: Found) -> str:
    session = await lock_session(tx, found.session_id)
    if session is None:
        raise NotFound(_("this session does not exist"))
    queued = await control.open_prompts(tx, found.session_id)
    place = await waiting_place(tx, found.session_id)
    called = await title(tx, found.session_id)
    told = words.status(found.short, session.state, queued, place, title=called)
    asker = queued[0]["author_id"] if queued else None
    halt = halted(await halting.read(tx), project_id=session.project_id, person_id=asker)
    return told if halt is None else f"{told}\n{words.halted(halt.told)}"


async def _retry(tx: Transaction, found: Found, actor: Actor) -> Obeyed:
    session = await lock_session(tx, found.session_id)
    last = (await tx.execute(_LAST_PROMPT, {"session": found.session_id})).one_or_none()
    if session is None or last is None:
        raise NothingToDo(_("no prompt of this session has ended yet, so there is none to retry"))
    said = last.text or ""
    added = await add_prompt(
        tx,
        session,
        actor,
        said=said,
        kind=last.kind,
        thread_id=found.thread_id,
        surface=RETRY,
        language=spoken().locale,
        join=False,
        read_only=last.read_only,
    )
    return Obeyed(
        told=together(_("The last prompt once more."), added.told),
        added=added,
        said=said,
        quoted=quoting.restored(last.quoted),
        like=last.id,
    )


async def _undo(tx: Transaction, found: Found, actor: Actor) -> Obeyed:
    """Queue the way back before what waits: what runs now is the turn that it takes back."""
    session = await lock_session(tx, found.session_id)
    if session is None:
        raise NotFound(_("this session does not exist"))
    busy = session.state in {SessionState.RUNNING, SessionState.WAITING}
    if not busy and decide(await undo_rows.past(tx, found.session_id)) is None:
        raise undo_words.none_left()
    added = await add_prompt(
        tx,
        session,
        actor,
        said=UNDO,
        kind=UNDO,
        thread_id=found.thread_id,
        surface=UNDO,
        language=spoken().locale,
        join=False,
        front=True,
        interrupts=False,
    )
    return Obeyed(
        told=together(_("The last turn is being taken back."), added.told), added=added, said=UNDO
    )
