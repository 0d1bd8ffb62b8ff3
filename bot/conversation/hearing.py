"""What a chat surface heard becomes a prompt, a command, a change of a prompt, or nothing.

    heard ─▶ what is known of the thread ─▶ `addressing.decide` (pure) ─▶ Inbox.accept ─▶ a hint

A surface acknowledges a delivery when `hear` has returned: everything is committed by then. A hint
to the author alone comes last, and is the only thing that may get lost.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from uuid import UUID

import structlog
from sqlalchemy import TextClause, text

from adapters.chat.incoming import (
    Checked,
    Chosen,
    Happened,
    Heard,
    Joined,
    Opened,
    Quoted,
    Reacted,
    Renamed,
    Reworded,
    Said,
    Spot,
    Withdrawn,
)
from adapters.chat.port import ChatPort, ShowsMoments
from adapters.chat.prefixes import addressed
from bot.automate.triggers.forge_events import ForgeEvents
from bot.conversation import (
    adding,
    audience,
    ci_rows,
    commands,
    edits,
    greeting,
    moving,
    phases,
    posts,
    reminder_words,
)
from bot.conversation.acquaintance import Acquaintances
from bot.conversation.adding import Adding, CheckRepository, unlooked
from bot.conversation.addressees import Addressees
from bot.conversation.addressing import Hearing, ThreadFacts, crowds, decide
from bot.conversation.connecting import ConnectingInChat
from bot.conversation.edits import Edits
from bot.conversation.greeting import Greetings
from bot.conversation.hints import Hints
from bot.conversation.home import Home
from bot.conversation.inbox import Inbox
from bot.conversation.membership import Membership
from bot.conversation.message import Accepted, IncomingMessage
from bot.conversation.moving import Moving
from bot.conversation.overhearing import Overhearing
from bot.conversation.parking import Choice, Parking
from bot.conversation.reminder_commands import Remind
from bot.conversation.renaming import Renaming
from bot.conversation.zones import Zones, said_zone
from bot.conversation.zones import wish as zone_wish
from bot.errors import NoProject, NotFound, NotPermitted, Refused, WhichProject
from bot.govern.connecting import Connecting
from bot.govern.languages import Reader
from bot.store.database import Database
from bot.words.catalogue import N_, SOURCE, speaking, spoken
from bot.words.catalogue import gettext as _
from bot.words.sentences import sentence
from bot.work import quoting
from bot.work.control import Actor

log = structlog.get_logger(__name__)

MEMBERS_ONLY = N_(
    "Only members of this workspace can use this, and only where nobody else reads it: in its own "
    "channels, which no other organisation shares, or in a direct message to me."
)

_THREAD = text(
    """
    SELECT thread.speaker, thread.crowded, thread.created_at,
           coalesce(channel.mention_only, false) AS mention_only
      FROM thread
      LEFT JOIN channel ON channel.surface = thread.surface AND channel.address = :channel
     WHERE thread.surface = :surface AND thread.place = :place
    """
)
_CROWD = text(
    "UPDATE thread SET crowded = true WHERE surface = :surface AND place = :place AND NOT crowded"
)
_PROMPTS = text(
    """
    SELECT delivery.message_key, session.private_to IS NOT NULL AS is_private
      FROM delivery JOIN session ON session.id = delivery.session_id
     WHERE delivery.surface = :surface AND delivery.message_key = ANY(:keys)
       AND delivery.prompt_id IS NOT NULL
    """
)
_SPEAK = text(
    """
    UPDATE thread SET speaker = :speaker
     WHERE surface = :surface AND place = :place AND speaker = ''
    """
)


class Chats:
    """Hears what is said on the chat surfaces of this installation."""

    def __init__(
        self,
        database: Database,
        inbox: Inbox,
        ports: Mapping[str, ChatPort],
        *,
        mention: str,
        connecting: Connecting | None = None,
        public_url: str = "",
        language: str = SOURCE,
        check_repository: CheckRepository = unlooked,
    ) -> None:
        """`ports` by surface, for hints; `mention` is what people call us.

        :param public_url: where people reach our pages; without it no link leads there
        :param language: the locale of channels, and of people of whom none is known
        :param check_repository: looks whether a repository can be read, before it is a project
        """
        self._database = database
        self._inbox = inbox
        self._ports = ports
        self._mention = mention
        self._hints = Hints(ports)
        self._forge_events = ForgeEvents(database, inbox.rights)
        self._addressees = Addressees(database, self._hints, Membership(database, ports))
        self._edits = Edits(database, inbox, self._hints, mention=mention)
        self._parking = Parking(database, inbox, ports)
        self.adding = Adding(database, inbox, self._hints, mention=mention, check=check_repository)
        self._moving = Moving(database, inbox, self._parking)
        known = connecting or Connecting(database, {})
        self._connecting = ConnectingInChat(
            known, self._hints.whisper, pages=public_url.rstrip("/")
        )
        self._renaming = Renaming(database, inbox.rights)
        self._greetings = Greetings(database, ports, mention=mention, language=language)
        self._overhearing = Overhearing(database)
        self._people = Acquaintances(database, language=language)
        self._zones = Zones(database, ports, self._hints, pages=public_url.rstrip("/"))
        self._home = Home(
            database,
            ports,
            mention=mention,
            rights=inbox.rights,
            connecting=self._connecting,
            offers=inbox.offers,
            public_url=public_url,
        )

    async def hear(self, heard: Heard) -> None:
        """Act on what was heard, once, however often it is delivered.

        :raises TryAgain: the database is away; the delivery has to come again
        :raises ChatError: a forge does not say what has to be known; so has this
        """
        match heard:
            case Said():
                await self._said(heard)
            case Reworded() | Withdrawn():
                await self._amended(heard)
            case Reacted():
                await self._reacted(heard)
            case Renamed():
                await self._renaming.take(heard, self._people)
            case Joined():
                await self._greetings.greet(heard)
            case Opened():
                reader = await self._people.reader(heard.author, heard.surface)
                with speaking(reader.locale, reader.zone):
                    await self._home.show(heard, self._people)
            case Chosen():
                await self._home.choose(heard, self._people)
            case Checked():
                async with self._database.begin() as tx:
                    await ci_rows.look_now(tx, heard)
            case Happened():
                await self._forge_events.take(heard)

    async def _said(self, said: Said) -> None:
        thread = await self._thread(said)
        hearing = decide(said, thread)
        match hearing:
            case Hearing.TAKE:
                await self._take(said)
            case Hearing.REFUSE:
                reader = await self._people.reader(said.author, said.spot.surface)
                with speaking(reader.locale):
                    await self._hints.refuse(said, _(MEMBERS_ONLY))
            case Hearing.OVERHEAR | Hearing.IGNORE:
                await self._overhearing.take(said, thread, hearing)
        if crowds(said, thread):
            await self._note(_CROWD, said)

    async def _take(self, said: Said) -> None:
        try:
            known = await self._people.meet(said.author, said.spot.surface)
        except Refused as refusal:
            await self._hints.whisper(said, str(refusal))
            return
        with self._spoken_to(known.reader, said.spot.surface):
            await self._taken(said, known.actor)

    def _spoken_to(self, reader: Reader, surface: str) -> AbstractContextManager[None]:
        """In their language and zone; where the surface shows a zone to each reader, in none."""
        absolute = isinstance(self._ports.get(surface), ShowsMoments)
        return speaking(reader.locale, reader.zone, absolute=absolute)

    async def _taken(self, said: Said, actor: Actor) -> None:
        if said.pressed and not said.typed and (zone := zone_wish(said.text)):
            await self._zones.chosen(said, actor, zone)
            return
        asked = commands.parse(said.text, self._mention)
        if isinstance(asked, commands.Prompt) and (zone := said_zone(asked.text)):
            if await self._is_new(said, actor):
                await self._zones.chosen(said, actor, zone)
            return
        if isinstance(asked, commands.Connect):
            if await self._is_new(said, actor):
                await self._connecting.answer(said, actor, asked)
            return
        said, message = await posts.about(self._database, said, await self._message(said, actor))
        if isinstance(asked, Remind) and not asked.is_unread:
            message = replace(message, meant=await self._addressees.places(said, asked.whom))
        if isinstance(asked, commands.Prompt) and asked.private:
            aside = await self._hints.alone(said, message)
            if aside is None:
                return
            message = aside
        accepted = await self._accept(said, message)
        if accepted is None:
            return
        await self._afterwards(said, actor, accepted)

    async def _is_new(self, said: Said, actor: Actor) -> bool:
        """Whether what is obeyed here is new: what is read back later is heard again."""
        return await self._inbox.is_new(await self._message(said, actor))

    async def _message(self, said: Said, actor: Actor) -> IncomingMessage:
        """What was said, with what was said in the thread before and has not been read yet."""
        quoted = await self._unread(said)
        fresh = {said.key, *(one.key for one in quoted)}
        return IncomingMessage(
            surface=said.spot.surface,
            delivery_key=said.delivery,
            message_key=said.key,
            place=said.spot.place,
            channel=said.spot.channel,
            within=said.spot.within,
            repository=said.spot.repository,
            narrow=said.spot.narrow,
            branch=said.spot.branch,
            begins=said.begins,
            alone=said.spot.direct,
            person_id=actor.id,
            text=said.text,
            project=said.project or None,
            asker=said.author.handle or said.author.id,
            ref=said.ref,
            language=spoken().locale,
            told_in_thread=True,
            quoted=quoted,
            files=tuple(one for one in said.files if one.key in fresh),
        )

    async def _afterwards(self, said: Said, actor: Actor, accepted: Accepted) -> None:
        """Note and say what follows from a message that was accepted."""
        if said.to_us and not said.pressed and accepted.session_id is not None:
            await self._note(_SPEAK, said, speaker=said.author.id)
        if said.spot.public and accepted.session_id is not None:
            async with self._database.begin() as tx:
                await audience.warn(tx, said.spot)
        if phases.is_outdated(said, accepted):
            await phases.show_again(self._database, said)
        if accepted.hint and not accepted.duplicate:
            asked = addressed(said.text, self._mention)
            elsewhere = not said.spot.direct and self._hints.elsewhere(said.spot.surface)
            choosing = reminder_words.choosing(asked, accepted, elsewhere=elsewhere)
            await self._hints.hint(said, accepted, *choosing)
        if accepted.prompt_id is not None:
            await self._zones.ask(said, actor)

    async def _accept(self, said: Said, message: IncomingMessage) -> Accepted | None:
        """Accept a message; None: its author was told, or is asked, something else."""
        if said.pressed and not said.typed:
            choice = Choice.read(said.text)
            if choice is not None:
                return await self._chosen(said, choice, message.person_id)
            edited = edits.pressed(said.text)
            if edited is not None:
                return await self._again(said, await self._edits.kept(edited, message.person_id))
            if await self._pressed(said, message):
                return None
        if moving.is_asked(said):
            return await self._moving.move(said, message)
        accepted = await self._inbox.accept(message)
        return None if await self._asked_back(said, message, accepted) else accepted

    async def _again(self, said: Said, edit: IncomingMessage | None) -> Accepted | None:
        """Ask an edit that was kept; one that is private where its author alone reads it."""
        if edit is None:
            return await self._kept(said, None)
        asked = commands.parse(edit.text, self._mention)
        if isinstance(asked, commands.Prompt) and asked.private:
            aside = await self._hints.alone(said, edit)
            return None if aside is None else await self._inbox.accept(aside)
        return await self._inbox.accept(edit)

    async def _pressed(self, said: Said, message: IncomingMessage) -> bool:
        """Do what a button says that stands for no message; whether it is such a one."""
        parked = adding.pressed(said.text)
        if parked is not None:
            self.adding.add(said, message.person_id, parked)
            return True
        mention_only = greeting.wish(said.text)
        if mention_only is not None:
            await self._greetings.listen(said, mention_only=mention_only)
            if not said.post:
                await self._hints.whisper(said, _(greeting.LISTENS[mention_only]))
            return True
        return False

    async def _asked_back(self, said: Said, message: IncomingMessage, accepted: Accepted) -> bool:
        """Ask for the project of a message that had none, and whether that is so."""
        code = accepted.refusal.code if accepted.refusal is not None else ""
        if code == WhichProject.code:
            await self._parking.ask(said, message)
        elif code == NoProject.code:
            await self.adding.ask(said, message)
        return code in {WhichProject.code, NoProject.code}

    async def _chosen(self, said: Said, choice: Choice, by: UUID) -> Accepted | None:
        try:
            accepted = await self._parking.chosen(said, choice, by)
        except (NotFound, NotPermitted) as refusal:
            await self._hints.whisper(said, sentence(str(refusal)))
            return None
        return await self._kept(said, accepted)

    async def _kept(self, said: Said, accepted: Accepted | None) -> Accepted | None:
        """What became of a parked message; who presses a button of one that is gone is told so."""
        if accepted is None:
            await self._hints.whisper(said, _("This was asked too long ago: ask again."))
        return accepted

    async def _amended(self, heard: Reworded | Withdrawn) -> None:
        if heard.author is None:
            await self._edits.gone(heard)
            return
        if heard.author.standing != "member" or heard.spot.shared:
            return
        try:
            known = await self._people.meet(heard.author, heard.spot.surface)
        except Refused:
            return
        with self._spoken_to(known.reader, heard.spot.surface):
            await self._edits.take(heard, known.actor)

    async def _reacted(self, heard: Reacted) -> None:
        """A reaction that means stop, to one of our posts: as if its thread was told to stop."""
        where = {
            "surface": heard.surface,
            "ref": heard.ref,
            "channel": heard.channel,
        }
        place = await posts.place_of(self._database, where)
        if place is None:
            return
        spot = Spot(surface=heard.surface, channel=heard.channel, place=place, shared=heard.shared)
        await self._said(
            Said(
                spot=spot,
                author=heard.author,
                delivery=heard.delivery,
                key=heard.delivery,
                ref="",
                text="stop",
                to_us=True,
                pressed=True,
            )
        )

    async def _thread(self, said: Said) -> ThreadFacts:
        spot = said.spot
        where = {"surface": spot.surface, "place": spot.place, "channel": spot.channel}
        async with self._database.begin() as tx:
            row = (await tx.execute(_THREAD, where)).one_or_none()
        if row is None:
            return ThreadFacts()
        return ThreadFacts(
            has_session=True,
            speaker=row.speaker,
            crowded=row.crowded,
            mention_only=row.mention_only,
            began=row.created_at,
        )

    async def _unread(self, said: Said) -> tuple[Quoted, ...]:
        """What was said in the thread since the last prompt there; private ones are not said."""
        if not said.quoted:
            return ()
        keys = {"surface": said.spot.surface, "keys": [one.key for one in said.quoted]}
        async with self._database.begin() as tx:
            prompts = (await tx.execute(_PROMPTS, keys)).all()
        private = {one.message_key for one in prompts if one.is_private}
        shared = [one for one in said.quoted if one.key not in private]
        return quoting.since(shared, {one.message_key for one in prompts} - private)

    async def _note(self, statement: TextClause, said: Said, **values: str) -> None:
        where = {"surface": said.spot.surface, "place": said.spot.place}
        async with self._database.begin() as tx:
            await tx.execute(statement, {**where, **values})
