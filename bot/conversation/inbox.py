"""The one way in: a message of a person becomes at most one prompt, however often it comes.

One transaction: drop duplicates, read what is asked for, find or open the session, take its row,
give the prompt its position, note the answer; commit; then the surface acknowledges.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.automate.runs.beginning import Beginning, Begun
from bot.conversation.automating import ToBegin, begin
from bot.conversation.deciding import Decided, Deciding, decided
from bot.conversation.message import KEY_LENGTH_MAX, Accepted, IncomingMessage, Refusal
from bot.errors import (
    NotAllowed,
    NotPermitted,
    OnaError,
    TellPerson,
    TryAgain,
)
from bot.govern.agents import Agents
from bot.govern.audit import Audited, Source, record
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.metrics import ACCEPT_SECONDS
from bot.store.database import Database, may_pass
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.words.catalogue import speaking, spoken
from bot.words.sentences import sentence
from bot.work import attachments, quoting

log = structlog.get_logger(__name__)


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
           quoted = CAST(:quoted AS jsonb), answer = CAST(:answer AS jsonb)
     WHERE id = :id
    """
)


class Inbox:
    """Accepts messages; holds nothing between them."""

    def __init__(
        self,
        database: Database,
        *,
        prompt_bytes_max: int,
        mention: str = "ona",
        sizes: Collection[str] = (),
        agents: Agents | None = None,
        rights: Rights | None = None,
        beginning: Beginning | None = None,
    ) -> None:
        """`prompt_bytes_max` bounds one message, in bytes of UTF-8; `mention` addresses us.

        :param sizes: the names that `size=` takes
        :param agents: those that `agent=` takes; None: shell alone
        :param rights: who may do what; None: everybody of the installation may everything
        :param beginning: begins runs of automations; None: none are begun from here
        """
        self._database = database
        self._beginning = beginning
        self.prompt_bytes_max = prompt_bytes_max
        self.rights = rights or Rights(database, {})
        self.offers = agents.offers if agents else ()
        self._deciding = Deciding(
            self.rights,
            prompt_bytes_max=prompt_bytes_max,
            mention=mention,
            sizes=sizes,
            agents=agents or Agents(),
        )

    async def accept(self, message: IncomingMessage) -> Accepted:
        """Accept a message; the commit has happened when this returns.

        A refusal (unknown session, empty or too long, not allowed) is an answer too and is kept
        with the delivery, so that a repeated delivery hears the same.

        :raises TryAgain: the database is away; nothing was accepted
        """
        with ACCEPT_SECONDS.time(), speaking(message.language, spoken().zone):
            try:
                return await self._accept_settled(message)
            except Exception as error:
                if isinstance(error, OnaError) or not may_pass(error):
                    raise
                log.warning("accept_away", error=str(error))
                raise TryAgain(
                    _("the database does not answer"),
                    kept=_("your message was not accepted"),
                    do=_("try again in a minute"),
                ) from error

    async def is_new(self, message: IncomingMessage) -> bool:
        """Note a message that is answered elsewhere, and whether it comes for the first time.

        None of its words are kept.
        """
        async with self._database.begin() as tx:
            delivery_id = await _first(tx, message)
            if delivery_id is not None:
                await tx.execute(_SETTLE, _settled(delivery_id, decided("command", "")))
        return delivery_id is not None

    async def _accept_settled(self, message: IncomingMessage) -> Accepted:
        """Accept it once everything is known that has to be found out elsewhere."""
        begun: Begun | None = None
        while True:
            try:
                return await self.rights.settled(partial(self._accept_once, message, begun))
            except ToBegin as wanted:
                begun = await begin(self._beginning, wanted, message)

    async def _accept_once(self, message: IncomingMessage, begun: Begun | None) -> Accepted:
        async with self._database.begin() as tx:
            return await self._accept(tx, message, begun)

    async def _accept(
        self, tx: Transaction, message: IncomingMessage, begun: Begun | None
    ) -> Accepted:
        delivery_id = await _first(tx, message)
        if delivery_id is None:
            return await self._earlier(tx, message)
        said = await self._answer(tx, message, begun)
        await tx.execute(_SETTLE, _settled(delivery_id, said))
        await attachments.add(tx, delivery_id, said.files)
        if said.like is not None:
            await attachments.copy(tx, delivery_id, prompt=said.like)
        return said.accepted

    async def _earlier(self, tx: Transaction, message: IncomingMessage) -> Accepted:
        known = {"surface": message.surface, **_keys(message)}
        answer = (await tx.execute(_EARLIER, known)).scalar_one()
        return _accepted_again(answer)

    async def _answer(
        self, tx: Transaction, message: IncomingMessage, begun: Begun | None
    ) -> Decided:
        """Decide and do; what a person can mend is an answer, not an error of the surface."""
        try:
            async with tx.begin_nested():
                return await self._deciding.decide(tx, message, begun)
        except TellPerson as refusal:
            if isinstance(refusal, NotAllowed | NotPermitted):
                await _audit(tx, message, refusal)
            told = sentence(str(refusal))
            return decided("refused", told, hint=told, refusal=Refusal.of(refusal))


async def _audit(tx: Transaction, message: IncomingMessage, refusal: TellPerson) -> None:
    """Note that somebody wanted what they may not."""
    who = await standing_of(tx, message.person_id)
    event = Audited(
        kind="access.refused",
        by=Source.of(who, message.surface),
        place=message.place,
        outcome="refused",
        body={"why": refusal.happened},
    )
    await record(tx, event)


async def _first(tx: Transaction, message: IncomingMessage) -> UUID | None:
    """The row of a delivery; None: the message was delivered before."""
    values = {
        "id": new_id(),
        "surface": message.surface,
        **_keys(message),
        "person": message.person_id,
        "text": "",
    }
    found: UUID | None = (await tx.execute(_FIRST_DELIVERY, values)).scalar_one_or_none()
    return found


def _settled(delivery_id: UUID, said: Decided) -> dict[str, Any]:
    accepted = said.accepted
    return {
        "id": delivery_id,
        "session": accepted.session_id,
        "prompt": accepted.prompt_id,
        "text": said.text,
        "event": accepted.event,
        "quoted": json.dumps(quoting.kept(said.quoted)),
        "answer": json.dumps(asdict(accepted), default=str),
    }


def _keys(message: IncomingMessage) -> dict[str, str]:
    return {
        "delivery_key": _bounded(message.delivery_key),
        "message_key": _bounded(message.message_key),
    }


def _bounded(key: str) -> str:
    if len(key) <= KEY_LENGTH_MAX:
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def _accepted_again(answer: dict[str, Any]) -> Accepted:
    known = dict(answer)
    for name in ("session_id", "prompt_id"):
        known[name] = UUID(known[name]) if known.get(name) else None
    known["duplicate"] = True
    if known.get("refusal"):
        known["refusal"] = Refusal(**known["refusal"])
    return Accepted(**known)
