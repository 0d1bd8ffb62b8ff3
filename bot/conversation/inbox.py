"""The one way in: a message of a person becomes at most one prompt, however often it comes.

One transaction: drop duplicates, read what is asked for, find or open the session, take its row,
give the prompt its position, note the answer; commit; then the surface acknowledges.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.conversation import commands, threads, words
from bot.conversation.message import Accepted, IncomingMessage, Refusal, Verdict
from bot.conversation.obeying import obey
from bot.conversation.prompting import add_prompt
from bot.conversation.saying import say
from bot.errors import (
    NotFound,
    OnaError,
    Refused,
    TellPerson,
    TooLarge,
    TryAgain,
)
from bot.govern.projects import check_size
from bot.metrics import ACCEPT_SECONDS
from bot.store.database import Database, is_away
from bot.store.ids import new_id
from bot.store.states import SessionState
from bot.store.transaction import Transaction
from bot.words.sentences import sentence
from bot.work import questions
from bot.work.control import Actor
from bot.work.queue import Event, LockedSession, append_events, lock_session

log = structlog.get_logger(__name__)

TOLD_IN_THREAD = frozenset({"status", "queue", "sessions", "help", "unmute"})
"""Commands whose answer is all that comes of them; what the others do is told as it happens."""
HINTED = frozenset({"mute"})
"""Commands after which the thread itself is told nothing."""

KEY_LENGTH_MAX = 200
"""Of what identifies a delivery or a message; what is longer is known by its digest."""

_FIRST_DELIVERY = text(
    """
    INSERT INTO delivery (id, surface, delivery_key, message_key, person_id, text)
    VALUES (:id, :surface, :delivery_key, :message_key, :person, :text)
    ON CONFLICT DO NOTHING RETURNING id
    """
)
_EARLIER = text(
    """
    SELECT answer FROM delivery
     WHERE surface = :surface
       AND (message_key = :message_key OR delivery_key = :delivery_key) LIMIT 1
    """
)
_SETTLE = text(
    """
    UPDATE delivery
       SET session_id = :session, prompt_id = :prompt, text = :text, event = :event,
           answer = CAST(:answer AS jsonb)
     WHERE id = :id
    """
)
_PERSON = text("SELECT name FROM person WHERE id = :person AND deactivated_at IS NULL")


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What the delivery row keeps beside the answer."""

    accepted: Accepted
    text: str


class Inbox:
    """Accepts messages; holds nothing between them."""

    def __init__(
        self,
        database: Database,
        *,
        prompt_bytes_max: int,
        mention: str = "ona",
        sizes: Collection[str] = (),
    ) -> None:
        """`prompt_bytes_max` bounds one message, in bytes of UTF-8; `mention` addresses us.

        `sizes` are the names that `size=` takes.
        """
        self._database = database
        self._prompt_bytes_max = prompt_bytes_max
        self._mention = mention
        self._sizes = sizes

    async def accept(self, message: IncomingMessage) -> Accepted:
        """Accept a message; the commit has happened when this returns.

        A refusal (unknown session, empty or too long, not allowed) is an answer too and is kept
        with the delivery, so that a repeated delivery hears the same.

        :raises TryAgain: the database is away; nothing was accepted
        """
        with ACCEPT_SECONDS.time():
            try:
                async with self._database.begin() as tx:
                    return await self._accept(tx, message)
            except Exception as error:
                if isinstance(error, OnaError) or not is_away(error):
                    raise
                log.warning("accept_away", error=str(error))
                raise TryAgain(
                    "the database does not answer",
                    kept="your message was not accepted",
                    do="try again in a minute",
                ) from error

    async def _accept(self, tx: Transaction, message: IncomingMessage) -> Accepted:
        delivery_id = new_id()
        first = (
            await tx.execute(
                _FIRST_DELIVERY,
                {
                    "id": delivery_id,
                    "surface": message.surface,
                    **_keys(message),
                    "person": message.person_id,
                    "text": "",
                },
            )
        ).one_or_none()
        if first is None:
            return await self._earlier(tx, message)
        said = await self._answer(tx, message)
        accepted = said.accepted
        await tx.execute(
            _SETTLE,
            {
                "id": delivery_id,
                "session": accepted.session_id,
                "prompt": accepted.prompt_id,
                "text": said.text,
                "event": accepted.event,
                "answer": json.dumps(asdict(accepted), default=str),
            },
        )
        return accepted

    async def _earlier(self, tx: Transaction, message: IncomingMessage) -> Accepted:
        known = {"surface": message.surface, **_keys(message)}
        answer = (await tx.execute(_EARLIER, known)).scalar_one()
        return _accepted_again(answer)

    async def _answer(self, tx: Transaction, message: IncomingMessage) -> _Said:
        """Decide and do; what a person can mend is an answer, not an error of the surface."""
        try:
            async with tx.begin_nested():
                return await self._decide(tx, message)
        except TellPerson as refusal:
            told = sentence(str(refusal))
            return _said("refused", told, hint=told, refusal=Refusal.of(refusal))

    async def _decide(self, tx: Transaction, message: IncomingMessage) -> _Said:
        self._check_size(message.text)
        actor = await self._actor(tx, message.person_id)
        parsed = commands.parse(message.text.replace("\x00", "\ufffd"), self._mention)
        match parsed:
            case commands.Nothing():
                raise Refused("the message is empty", do="say what to do, or `help`")
            case commands.Aside():
                return _said("command", "Not for me: nothing was done.")
            case commands.Command():
                return await self._command(tx, message, actor, parsed)
            case commands.Join():
                return await self._join(tx, message, actor, parsed.session)
            case commands.Prompt():
                return await self._prompt(tx, message, actor, parsed)

    def _check_size(self, said: str) -> None:
        size = len(said.encode("utf-8", errors="replace"))
        if size > self._prompt_bytes_max:
            raise TooLarge(
                f"the message has {size:,} bytes and at most {self._prompt_bytes_max:,} fit",
                kept="nothing was queued",
                do="put the long part into a file of the repository and name it",
            )

    async def _actor(self, tx: Transaction, person_id: UUID) -> Actor:
        name = (await tx.execute(_PERSON, {"person": person_id})).scalar_one_or_none()
        if name is None:
            raise Refused("this person may not prompt here", do="ask who runs ona")
        return Actor(id=person_id, name=name)

    async def _command(
        self,
        tx: Transaction,
        message: IncomingMessage,
        actor: Actor,
        command: commands.Command,
    ) -> _Said:
        found = await threads.find(tx, message)
        obeyed = await obey(tx, found, actor, command)
        told = obeyed.told
        if found is None:
            return _said("command", told, hint=told)
        if command.word in TOLD_IN_THREAD and message.told_in_thread:
            await say(tx, found.thread_id, f"told:{message.delivery_key}", told)
        accepted = Accepted(
            verdict="command",
            text=told,
            session_id=found.session_id,
            session=found.short,
            hint=told if command.word in HINTED else "",
        )
        if (added := obeyed.added) is not None:
            accepted = replace(
                accepted, verdict="prompt", prompt_id=added.prompt_id, event=added.event
            )
        return _Said(accepted=accepted, text=obeyed.said)

    async def _join(
        self, tx: Transaction, message: IncomingMessage, actor: Actor, session: str
    ) -> _Said:
        """Bring the thread into a session; what it was in before goes on without it."""
        found = await threads.find(tx, replace(message, session=session))
        if found is None:
            raise NotFound(f"there is no session {session}")
        joined = Event(
            kind="thread.joined",
            body={"by": actor.id, "name": actor.name, "surface": message.surface},
        )
        event = await append_events(tx, found.session_id, [joined])
        told = words.joined(session, await threads.title(tx, found.session_id))
        if message.told_in_thread:
            await say(tx, found.thread_id, f"told:{message.delivery_key}", told)
        accepted = Accepted(
            verdict="command",
            text=told,
            session_id=found.session_id,
            session=session,
            event=event,
        )
        return _Said(accepted=accepted, text="")

    async def _prompt(
        self,
        tx: Transaction,
        message: IncomingMessage,
        actor: Actor,
        prompt: commands.Prompt,
    ) -> _Said:
        found = None
        size = prompt.options.get("size")
        if size is not None:
            check_size(size, self._sizes)
        if not (prompt.new or message.new):
            found = await threads.find_or_begin(tx, message)
        if found is not None and not prompt.options and prompt.kind == "text" and not prompt.now:
            answered = await self._as_answer(tx, found, actor, prompt.text)
            if answered is not None:
                return answered
        if found is None:
            found = await threads.open_session(tx, message, actor, prompt)
        elif size is not None:
            await threads.resize(tx, found.session_id, size)
        session = await lock_session(tx, found.session_id)
        if session is None:
            raise NotFound(
                f"there is no session {found.short}", do="`sessions` lists those there are"
            )
        return await self._enqueue(tx, message, actor, prompt=prompt, found=found, session=session)

    async def _as_answer(
        self, tx: Transaction, found: threads.Found, actor: Actor, said: str
    ) -> _Said | None:
        session = await lock_session(tx, found.session_id)
        if session is None or session.state is not SessionState.WAITING:
            return None
        question = await questions.open_question(tx, found.session_id)
        if question is None or not question.may_answer(actor.id):
            return None
        event = await questions.answer(tx, found.session_id, actor, said)
        return _said(
            "answer",
            "Your answer was handed over.",
            session_id=found.session_id,
            session=found.short,
            event=event,
        )

    async def _enqueue(
        self,
        tx: Transaction,
        message: IncomingMessage,
        actor: Actor,
        *,
        prompt: commands.Prompt,
        found: threads.Found,
        session: LockedSession,
    ) -> _Said:
        added = await add_prompt(
            tx,
            session,
            actor,
            said=prompt.text,
            kind=prompt.kind,
            thread_id=found.thread_id,
            surface=message.surface,
            front=prompt.now,
            resembles=prompt.resembles,
            asker=message.asker,
            ref=message.ref,
        )
        accepted = Accepted(
            verdict="joined" if added.joined else "prompt",
            text=added.told,
            session_id=session.id,
            session=found.short,
            prompt_id=added.prompt_id,
            event=added.event,
            hint=added.told if prompt.resembles else "",
        )
        return _Said(accepted=accepted, text=prompt.text)


def _keys(message: IncomingMessage) -> dict[str, str]:
    return {
        "delivery_key": _bounded(message.delivery_key),
        "message_key": _bounded(message.message_key),
    }


def _bounded(key: str) -> str:
    if len(key) <= KEY_LENGTH_MAX:
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def _said(verdict: Verdict, told: str, **more: Any) -> _Said:
    return _Said(accepted=Accepted(verdict=verdict, text=told, **more), text="")


def _accepted_again(answer: dict[str, Any]) -> Accepted:
    known = dict(answer)
    for name in ("session_id", "prompt_id"):
        known[name] = UUID(known[name]) if known.get(name) else None
    known["duplicate"] = True
    if known.get("refusal"):
        known["refusal"] = Refusal(**known["refusal"])
    return Accepted(**known)
