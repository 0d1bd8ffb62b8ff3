"""What a channel is told when we are added to it: three lines, once.

    joined ─▶ take the greeting ─▶ was it tried before? look the mark up ─▶ post ─▶ it stands
                 ├─ it stands already: nothing
                 └─ somebody is posting it: the delivery has to come again

Below it stand two buttons, by which anybody of the channel says whether we follow whom we answered
or want a mention each time; the greeting then says so.

It belongs to no session, so it is no row of the outbox, but it is sent under the same rules: with a
mark of its own, under a deadline that ends before anybody else may take it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import structlog
from sqlalchemy import text

from adapters.chat import incoming
from adapters.chat.incoming import Joined, Said, Spot
from adapters.chat.port import (
    AfterUncertain,
    Button,
    ChatError,
    ChatPort,
    Content,
    Deadline,
    Gone,
    Rejected,
    Throttled,
    Unavailable,
)
from bot.conversation.buttons import labelled
from bot.errors import TryAgain
from bot.store.database import Database
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import N_, SOURCE, speaking
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

POST_SECONDS = 2.5
"""Counted from before the greeting was taken: a surface waits three for the acknowledgement."""
TAKEN_SECONDS = 10.0
"""After which another one may look for it; a request still under way has until then to arrive."""
_OURS = UUID("6f6e612d-6772-8565-8574-696e67736f6e")
"""Namespace of the marks of greetings."""

MENTION_ONLY = Button(label=N_("Mention only"), says=incoming.MENTION_ONLY)
FOLLOW = Button(label=N_("Follow me"), says=incoming.FOLLOW)
BUTTONS = (MENTION_ONLY, FOLLOW)
LISTENS = {
    True: N_("In this channel I have to be mentioned each time from now on."),
    False: N_("In this channel I follow whom I answered from now on, without a mention."),
}
"""Said where no greeting says it, by whether it is so."""

_KNOW = text(
    """
    INSERT INTO channel (id, surface, address) VALUES (:id, :surface, :channel)
    ON CONFLICT DO NOTHING
    """
)
_LOOK = text(
    """
    SELECT channel.id, channel.mention_only, channel.greeted_at IS NOT NULL AS stands,
           channel.greeting_until IS NOT NULL AS tried,
           coalesce(channel.greeting_until > clock_timestamp(), false) AS taken
      FROM channel WHERE channel.surface = :surface AND channel.address = :channel FOR UPDATE
    """
)
_TAKE = text(
    """
    UPDATE channel SET greeting_until = clock_timestamp() + make_interval(secs => :seconds)
     WHERE id = :id RETURNING greeting_until
    """
)
_STANDS = text("UPDATE channel SET greeted_at = now() WHERE id = :id AND greeting_until = :until")
_GIVE_BACK = text(
    "UPDATE channel SET greeting_until = NULL WHERE id = :id AND greeting_until = :until"
)
_LISTEN = text(
    """
    INSERT INTO channel (id, surface, address, mention_only)
    VALUES (:id, :surface, :channel, :mention_only)
    ON CONFLICT (surface, address) DO UPDATE SET mention_only = excluded.mention_only
    RETURNING id, mention_only
    """
)
_PROJECTS = text(
    """
    SELECT project.name, project.id = (SELECT channel.project_id FROM channel
                                        WHERE channel.id = :id) AS is_set
      FROM project WHERE project.removed_at IS NULL ORDER BY project.name LIMIT 1000
    """
)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """The greeting of a channel in our hands."""

    id: UUID
    until: datetime
    """Names this take; no other has it."""
    tried: bool
    """Somebody may have posted it before."""
    words: str


class Greetings:
    """Greets channels."""

    def __init__(
        self,
        database: Database,
        ports: Mapping[str, ChatPort],
        *,
        mention: str,
        language: str = SOURCE,
    ) -> None:
        """`ports` by surface; `mention` is what people call us, `language` that of channels."""
        self._database = database
        self._ports = ports
        self._mention = mention
        self._language = language

    async def greet(self, joined: Joined) -> None:
        """Greet the channel unless it was; where outsiders read it nothing is said.

        :raises TryAgain: it is not known to stand there yet; the delivery has to come again
        """
        spot = joined.spot
        port = self._ports.get(spot.surface)
        if port is None or spot.shared:
            return
        deadline = Deadline.after(POST_SECONDS)
        async with self._database.begin() as tx:
            taken = await self._take(tx, spot)
        if taken is None:
            return
        try:
            await self._post(port, spot, taken, deadline)
        except Rejected as error:
            log.info("greeting_not_wanted", channel=spot.channel, why=str(error))
        except ChatError as error:
            if isinstance(error, Throttled | Unavailable | Gone) and not taken.tried:
                await self._note(_GIVE_BACK, taken)
            if isinstance(error, Gone):
                # We were put out again; who lets us in once more is greeted then.
                return
            raise _again(str(error)) from error
        await self._note(_STANDS, taken)

    async def _take(self, tx: Transaction, spot: Spot) -> _Taken | None:
        where = {"surface": spot.surface, "channel": spot.channel}
        await tx.execute(_KNOW, {"id": new_id(), **where})
        channel = (await tx.execute(_LOOK, where)).one()
        if channel.stands:
            return None
        if channel.taken:
            raise _again("it is just being greeted")
        until = await tx.scalar(_TAKE, {"id": channel.id, "seconds": TAKEN_SECONDS})
        words = await self._words(tx, channel)
        return _Taken(id=channel.id, until=until, tried=channel.tried, words=words)

    async def _words(self, tx: Transaction, channel: Any) -> str:
        projects = (await tx.execute(_PROJECTS, {"id": channel.id})).all()
        with speaking(self._language):
            return "\n".join(
                lines(
                    _project(projects),
                    count=len(projects),
                    mention=self._mention,
                    mention_only=channel.mention_only,
                )
            )

    def _content(self, port: ChatPort, words: str) -> Content:
        with speaking(self._language):
            buttons = tuple(labelled(button) for button in BUTTONS)
        return Content(text=port.escape(words, code=False), buttons=buttons)

    async def listen(self, said: Said, *, mention_only: bool) -> None:
        """Follow whom we answered in the channel, or don't; the greeting says so. Idempotent."""
        spot = said.spot
        values = {"surface": spot.surface, "channel": spot.channel, "mention_only": mention_only}
        async with self._database.begin() as tx:
            channel = (await tx.execute(_LISTEN, {"id": new_id(), **values})).one()
            words = await self._words(tx, channel)
        port = self._ports.get(spot.surface)
        if port is None or not said.post:
            return
        content = self._content(port, words)
        try:
            await port.edit(spot.place, said.post, content, Deadline.after(POST_SECONDS))
        except ChatError as error:
            log.info("greeting_not_edited", channel=spot.channel, why=str(error))

    async def _post(self, port: ChatPort, spot: Spot, taken: _Taken, deadline: Deadline) -> None:
        mark = str(uuid5(_OURS, f"{spot.surface}/{spot.channel}"))
        if taken.tried:
            after = port.limits.after_uncertain
            if after is AfterUncertain.GIVE_UP:
                return
            if after is AfterUncertain.LOOK_UP and await port.find(spot.place, mark, deadline):
                return
        content = self._content(port, taken.words)
        await port.post(spot.place, content, mark, deadline)

    async def _note(self, statement: Any, taken: _Taken) -> None:
        async with self._database.begin() as tx:
            await tx.execute(statement, {"id": taken.id, "until": taken.until})


def wish(says: str) -> bool | None:
    """Whether a button wants a mention each time; None: it says something else. Pure."""
    return {MENTION_ONLY.says: True, FOLLOW.says: False}.get(says)


def lines(
    project: str | None, *, count: int, mention: str, mention_only: bool = False
) -> Sequence[str]:
    """The three lines: what we work on here, how to ask, how to stop; pure.

    :param project: the one of this channel, if that is certain
    :param count: how many there are
    :param mention_only: what is not a mention is not for us here
    """
    goes_on = _("mention me there each time.") if mention_only else _("there you go on without it.")
    if project is not None:
        about = _("Hello. In this channel I work on {project}.", project=project)
    elif count:
        about = _("Hello. No project is set for this channel: I ask which one it is.")
    else:
        about = _(
            "Hello. There is no project yet: whoever runs me adds one with `ona projects add`."
        )
    return (
        about,
        _(
            "To ask, write `@{mention}` and what to do. I answer in its thread; {goes_on}",
            mention=mention,
            goes_on=goes_on,
        ),
        _(
            "To stop me, write `stop` in that thread or press Stop;"
            " `@{mention} help` says the rest.",
            mention=mention,
        ),
    )


def _project(projects: Sequence[Any]) -> str | None:
    found = [row.name for row in projects if row.is_set] or [row.name for row in projects]
    return str(found[0]) if len(found) == 1 else None


def _again(why: str) -> TryAgain:
    return TryAgain(
        f"this channel is not greeted yet: {why}",
        kept="nothing was accepted",
        do="deliver it again",
    )
