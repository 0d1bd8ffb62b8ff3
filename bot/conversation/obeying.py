"""Doing what a command asks, and saying so."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Quoted
from adapters.chat.port import LABEL_LENGTH_MAX, Button
from adapters.chat.terminal import PULL_SURFACES
from bot.conversation import commands, words
from bot.conversation.prompting import Added, add_prompt
from bot.conversation.threads import Found, title
from bot.errors import NotFound, NothingToDo
from bot.govern import halting
from bot.govern.agents import Agents
from bot.govern.halt import halted
from bot.store.states import PromptState, SessionState
from bot.store.transaction import Transaction
from bot.words.amounts import short
from bot.words.catalogue import gettext as _
from bot.words.catalogue import spoken, together
from bot.work import control, provider_faults, quoting, undo_rows, undo_words
from bot.work.control import Actor
from bot.work.queue import Again, LockedSession, NewPrompt, lock_session, waiting_place
from bot.work.undo import UNDO, decide

RETRY = "retry"
"""The surface of a prompt that was asked again, as its event says it."""

_ENDED_PROMPT = text(
    """
    SELECT prompt.id, prompt.kind, prompt.read_only, turn.outcome,
           (SELECT agent FROM session WHERE session.id = prompt.session_id) AS agent,
           (SELECT later.state FROM prompt AS later
             WHERE later.session_id = prompt.session_id AND later.repeats = prompt.id
               AND later.state <> 'cancelled'
             ORDER BY later.position DESC LIMIT 1) AS again,
           (SELECT string_agg(delivery.text, E'\n' ORDER BY delivery.event)
              FROM delivery WHERE delivery.prompt_id = prompt.id) AS text,
           (SELECT coalesce(jsonb_agg(one.value ORDER BY delivery.event, one.place), '[]')
              FROM delivery, jsonb_array_elements(delivery.quoted)
                   WITH ORDINALITY AS one (value, place)
             WHERE delivery.prompt_id = prompt.id) AS quoted
      FROM prompt JOIN turn ON turn.prompt_id = prompt.id
     WHERE prompt.session_id = :session AND prompt.state = 'done'
       AND prompt.id = coalesce(CAST(:prompt AS uuid), prompt.id)
       AND NOT (prompt.kind = 'undo' AND turn.state = 'succeeded')
     ORDER BY prompt.position DESC LIMIT 1
    """
)
_TURN_OF = text("SELECT id FROM turn WHERE prompt_id = :prompt AND session_id = :session")
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
    key: str = ""
    """Of the one post that says it in the thread, whatever it said before; none: nothing does."""
    buttons: tuple[Button, ...] = ()
    """Below that post."""


async def obey(
    tx: Transaction,
    found: Found | None,
    actor: Actor,
    command: commands.Command,
    *,
    agents: Agents,
    recent: Callable[[Transaction], Awaitable[Sequence[Mapping[str, Any]]]],
) -> Obeyed:
    """Do what a command asks and say so.

    :param found: the session that it is about; None: the thread has none
    :param recent: reads the sessions that were active last, of those that the actor may see
    :param agents: those that `agent=` takes
    :raises NothingToDo: it needs a session, or there is nothing that it could be done to
    :raises Refused: there is no such agent
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
        return await _retry(tx, found, actor, command, agents)
    if word == "continue":
        return await _continue(tx, found, actor, command, agents)
    if word == "undo":
        return await _undo(tx, found, actor, command.prompt)
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
    runs = await control.running_turn(tx, found.session_id)
    busy = session.state in {SessionState.RUNNING, SessionState.WAITING}
    done = await control.last_step(tx, found.session_id) if busy else None
    told = words.status(
        found.short, session.state, queued, place, title=called, runs=runs, done=done
    )
    asker = queued[0]["author_id"] if queued else None
    halt = halted(await halting.read(tx), project_id=session.project_id, person_id=asker)
    return told if halt is None else f"{told}\n{words.halted(halt.told)}"


async def _retry(
    tx: Transaction, found: Found, actor: Actor, command: commands.Command, agents: Agents
) -> Obeyed:
    """Ask the last prompt again; while that waits or runs, whoever says it once more is told.

    The one that a button is about is asked again once.
    """
    session, options = await lock_session(tx, found.session_id), command.options
    last = await _ended(tx, found, command.prompt)
    if session is None or last is None:
        raise NothingToDo(_("no prompt of this session has ended yet, so there is none to retry"))
    if command.prompt is not None and last.again is not None:
        raise NothingToDo(_("this prompt was asked again already"))
    if last.again in {PromptState.QUEUED, PromptState.RUNNING}:
        raise NothingToDo(
            _("the last prompt is asked again already"), do=_("`queue` shows what waits")
        )
    agent, model = options.get("agent"), options.get("model")
    if agent is not None:
        agents.check(agent)
    agents.check_model(agent or last.agent, model)
    with_what = model or agent
    told = (
        _("The last prompt once more, with {model}.", model=with_what[:80])
        if with_what
        else _("The last prompt once more.")
    )
    again = Again(prompt_id=last.id, agent=agent, model=model)
    return await _ask_again(tx, found, actor, session=session, last=last, again=again, told=told)


async def _continue(
    tx: Transaction, found: Found, actor: Actor, command: commands.Command, agents: Agents
) -> Obeyed:
    """Ask a prompt whose provider of models failed again with what was offered, once.

    Where several things were and none is named, the thread is asked for one, in the post that says
    then which it was.
    """
    session = await lock_session(tx, found.session_id)
    failed = await _ended(tx, found, command.prompt)
    instead = provider_faults.offered(failed.outcome) if failed is not None else ()
    which = command.number or 1
    if session is None or failed is None or which > len(instead):
        raise NothingToDo(_("there is no other model that this could go on with"))
    if failed.again is not None:
        raise NothingToDo(_("this prompt was asked again already"))
    key = f"continue:{failed.id}"
    if command.number is None and len(instead) > 1:
        buttons = tuple(
            Button(label=short(one.called, LABEL_LENGTH_MAX), says=f"continue {failed.id} {number}")
            for number, one in enumerate(instead, 1)
        )
        return Obeyed(told=_("With which model?"), key=key, buttons=buttons)
    offer = instead[which - 1]
    agents.check(offer.agent)
    told = _("The prompt once more, with {model}.", model=offer.called)
    again = Again(prompt_id=failed.id, agent=offer.agent, model=offer.model)
    obeyed = await _ask_again(
        tx, found, actor, session=session, last=failed, again=again, told=told
    )
    return replace(obeyed, key=key)


async def _ended(tx: Transaction, found: Found, prompt: UUID | None = None) -> Any:
    """A prompt of the session whose turn is over, None: the last one; None where there is none."""
    asked = {"session": found.session_id, "prompt": prompt}
    return (await tx.execute(_ENDED_PROMPT, asked)).one_or_none()


async def _ask_again(
    tx: Transaction,
    found: Found,
    actor: Actor,
    *,
    session: LockedSession,
    last: Any,
    again: Again,
    told: str,
) -> Obeyed:
    said = last.text or ""
    new = NewPrompt(
        said=said,
        kind=last.kind,
        thread_id=found.thread_id,
        language=spoken().locale,
        read_only=last.read_only,
        again=again,
    )
    added = await add_prompt(tx, session, actor, new, surface=RETRY)
    return Obeyed(
        told=together(told, added.told),
        added=added,
        said=said,
        quoted=quoting.restored(last.quoted),
        like=last.id,
    )


async def _undo(tx: Transaction, found: Found, actor: Actor, prompt: UUID | None) -> Obeyed:
    """Queue the way back before what waits: what runs now is the turn that it takes back.

    :param prompt: whose turn is meant, where it was said which
    """
    session = await lock_session(tx, found.session_id)
    if session is None:
        raise NotFound(_("this session does not exist"))
    busy = session.state in {SessionState.RUNNING, SessionState.WAITING}
    back = decide(await undo_rows.past(tx, found.session_id))
    if not busy and back is None:
        raise undo_words.none_left()
    if prompt is not None:
        meant = await tx.scalar(_TURN_OF, {"prompt": prompt, "session": found.session_id})
        if busy or back is None or back.turn.id != meant:
            raise NothingToDo(
                _("that is not the last turn any more, so nothing was taken back"),
                do=_("`undo` takes back the last one"),
            )
    new = NewPrompt(
        said=UNDO, kind=UNDO, thread_id=found.thread_id, language=spoken().locale, front=True
    )
    added = await add_prompt(tx, session, actor, new, surface=UNDO, interrupts=False)
    return Obeyed(
        told=together(_("The last turn is being taken back."), added.told), added=added, said=UNDO
    )
