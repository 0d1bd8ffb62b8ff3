"""Doing what a command asks, and saying so."""

from typing import assert_never

from sqlalchemy import text

from bot.conversation import commands, words
from bot.conversation.prompting import add_prompt
from bot.conversation.threads import Found, list_sessions
from bot.errors import NotFound, NothingToDo
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.work import control
from bot.work.control import Actor
from bot.work.queue import lock_session, waiting_place

RETRY = "retry"
"""Names the deliveries of prompts that were asked again, among those of surfaces."""

_LAST_PROMPT = text(
    """
    SELECT prompt.kind,
           (SELECT string_agg(delivery.text, E'\n' ORDER BY delivery.event)
              FROM delivery WHERE delivery.prompt_id = prompt.id) AS text
      FROM prompt WHERE prompt.session_id = :session AND prompt.state = 'done'
     ORDER BY prompt.position DESC LIMIT 1
    """
)
_ADD_RETRY = text(
    """
    INSERT INTO delivery (id, surface, delivery_key, message_key, person_id, session_id,
                          prompt_id, text, event)
    VALUES (:id, :surface, CAST(:id AS text), CAST(:id AS text), :person, :session, :prompt,
            :text, :event)
    """
)
_MUTE = text("UPDATE thread SET muted = :muted WHERE id = :thread")


async def obey(
    tx: Transaction, found: Found | None, actor: Actor, command: commands.Command
) -> str:
    """Do what a command asks and say so.

    :param found: the session that it is about; None: the thread has none
    :raises NothingToDo: it needs a session, or there is nothing that it could be done to
    """
    word = command.word
    if word == "help":
        return words.HELP
    if word == "sessions":
        return await list_sessions(tx)
    if found is None:
        raise NothingToDo(
            f"there is no session in this thread, so `{word}` has no object",
            do="write a prompt to open one, or `sessions` to find another",
        )
    return await _obey(tx, found, actor, word, command.number or 0)


async def _obey(
    tx: Transaction, found: Found, actor: Actor, word: commands.SessionWord, number: int
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
        case "retry":
            told = await _retry(tx, found, actor)
        case "mute" | "unmute":
            told = await _mute(tx, found, muted=word == "mute")
        case "status" | "queue":
            told = await _status(tx, found)
        case _:
            assert_never(word)
    return told


async def _mute(tx: Transaction, found: Found, *, muted: bool) -> str:
    await tx.execute(_MUTE, {"thread": found.thread_id, "muted": muted})
    return "Muted: answers wait on the session's page." if muted else "Unmuted."


async def _status(tx: Transaction, found: Found) -> str:
    session = await lock_session(tx, found.session_id)
    if session is None:
        raise NotFound("this session does not exist")
    queued = await control.open_prompts(tx, found.session_id)
    place = await waiting_place(tx, found.session_id)
    return words.status(found.short, session.state, queued, place)


async def _retry(tx: Transaction, found: Found, actor: Actor) -> str:
    session = await lock_session(tx, found.session_id)
    last = (await tx.execute(_LAST_PROMPT, {"session": found.session_id})).one_or_none()
    if session is None or last is None:
        raise NothingToDo("no prompt of this session has ended yet, so there is none to retry")
    said = last.text or ""
    added = await add_prompt(
        tx,
        session,
        actor,
        said=said,
        kind=last.kind,
        thread_id=found.thread_id,
        surface=RETRY,
        join=False,
    )
    await tx.execute(
        _ADD_RETRY,
        {
            "id": new_id(),
            "surface": RETRY,
            "person": actor.id,
            "session": session.id,
            "prompt": added.prompt_id,
            "text": said,
            "event": added.event,
        },
    )
    return f"The last prompt once more. {added.told}"
