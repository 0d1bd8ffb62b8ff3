"""The page that a surface keeps for each person: their sessions, what holds for new ones, a hint.

    opened ─▶ who is it? ─▶ their sessions, the projects ─▶ `page` (pure) ─▶ the port shows it

It is made anew each time it is opened; showing it is idempotent.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from adapters.chat.incoming import Chosen, Opened
from adapters.chat.port import (
    LABEL_LENGTH_MAX,
    Button,
    ChatError,
    ChatPort,
    Deadline,
    Entry,
    HasHome,
    Menu,
    Part,
)
from bot.conversation.acquaintance import Acquaintances
from bot.conversation.commands import Connect
from bot.conversation.connecting import ConnectingInChat
from bot.conversation.zones import ZONE
from bot.errors import Refused
from bot.govern import defaults, languages
from bot.govern.offers import Offer
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.database import Database
from bot.store.transaction import Transaction
from bot.words.amounts import short
from bot.words.catalogue import N_, UTC_ZONE, language_name, shipped, speaking, spoken, zones
from bot.words.catalogue import gettext as _
from bot.words.events import session_state
from bot.words.listening import name_of
from bot.words.plain import settled
from bot.words.sentences import sentence

log = structlog.get_logger(__name__)

SHOW_SECONDS = 2.5
LANGUAGE = "language"
MODEL = "model"
CONNECTS = "connect"
FOLLOW = "auto"
"""What the buttons say that choose a language or a model, or connect an account."""
OFFERS_MAX = 20
"""Slack shows 25 buttons in a row; any other model is named with a prompt."""
SESSIONS_MAX = 20
PROJECTS_MAX = 20
TITLE_LENGTH_MAX = 150
"""Of a session, as it is shown here."""
MEMBERS_ONLY = N_("Only members of this workspace can use this.")
CONNECT = N_(
    "What you may ask here follows your own account on the code host. Show me which one is yours,"
    " here or by `connect` in a direct message to me."
)
CONNECTED = N_("What you may ask here follows your own account on the code host, which I know.")
ZONE_MENU = N_("Another time zone")
MATCHES_MAX = 100
"""Zones that are offered to who types; Slack shows no more."""

_SESSIONS = text(
    """
    SELECT session.short, session.state, session.title, project.name AS project,
           project.id AS project_id, session.private_to, session.narrow
      FROM session JOIN project ON project.id = session.project_id
     WHERE session.creator_id = :person
        OR EXISTS (SELECT FROM prompt
                    WHERE prompt.session_id = session.id AND prompt.author_id = :person)
     ORDER BY session.active_at DESC LIMIT :limit
    """
)
_PROJECTS = text(
    """
    SELECT id AS project_id, name, agent, size, base_branch FROM project
     WHERE removed_at IS NULL ORDER BY name LIMIT :limit
    """
)

Row = Mapping[str, Any]
Keep = Callable[[Transaction, UUID], Awaitable[None]]
"""Keeps what a person chose."""


class Home:
    """Shows people their page."""

    def __init__(
        self,
        database: Database,
        ports: Mapping[str, ChatPort],
        *,
        mention: str,
        rights: Rights,
        connecting: ConnectingInChat,
        offers: Sequence[Offer] = (),
        public_url: str = "",
    ) -> None:
        """`ports` by surface; without a `public_url` there are no links.

        :param offers: from which people choose what their new sessions use
        """
        self._offers = offers[:OFFERS_MAX]
        self._connecting = connecting
        self._database = database
        self._rights = rights
        self._ports = ports
        self._mention = mention
        self._public_url = public_url.rstrip("/")

    async def show(self, opened: Opened, people: Acquaintances, told: str = "") -> None:
        """Show whoever opened it their page; what goes wrong is logged, they can open it again.

        :param told: what they are told on it about connecting, until they open it again
        """
        port: object = self._ports.get(opened.surface)
        if not isinstance(port, HasHome):
            return
        deadline = Deadline.after(SHOW_SECONDS)
        parts = await self._parts(opened, people, told)
        try:
            await port.show_home(opened.author.id, parts, deadline)
        except ChatError as error:
            log.info("home_not_shown", surface=opened.surface, why=str(error))

    async def choose(self, chosen: Chosen, people: Acquaintances) -> None:
        """Keep what somebody chose on their page, or connect them, and show it so."""
        keep, asked = wish(chosen.says, self._offers), connect_wish(chosen.says)
        if (keep is None and asked is None) or chosen.author.standing != "member":
            return
        try:
            person = await people.meet(chosen.author, chosen.surface)
            if keep is not None:
                async with self._database.begin() as tx:
                    await keep(tx, person.actor.id)
        except Refused as refusal:
            log.info("not_chosen", surface=chosen.surface, why=str(refusal))
            return
        reader = await people.reader(chosen.author, chosen.surface)
        opened = Opened(surface=chosen.surface, author=chosen.author)
        with speaking(reader.locale, reader.zone):
            if asked is None:
                await self.show(opened, people)
            else:
                tell = partial(self.show, opened, people)
                await self._connecting.connect(person.actor, asked, tell)

    async def _parts(self, opened: Opened, people: Acquaintances, told: str) -> Sequence[Part]:
        author = opened.author
        if author.standing != "member":
            return (Part(title="ona", entries=(Entry(text=_(MEMBERS_ONLY)),)),)
        try:
            person = await people.meet(author, opened.surface)
        except Refused as refusal:
            return (Part(title="ona", entries=(Entry(text=sentence(str(refusal))),)),)
        person_id = person.actor.id
        asked = {"person": person_id, "limit": SESSIONS_MAX}
        async with self._database.begin() as tx:
            sessions = [dict(row) for row in (await tx.execute(_SESSIONS, asked)).mappings()]
            known = await tx.execute(_PROJECTS, {"limit": PROJECTS_MAX})
            projects = [dict(row) for row in known.mappings()]
            standing = await standing_of(tx, person_id)
            own = await defaults.chosen(tx, person_id, self._offers)
        return page(
            await self._rights.visible(standing, sessions),
            await self._rights.visible(standing, projects),
            zone=person.reader.zone,
            model=_models(own, self._offers) if self._offers else None,
            connect=_connect(await self._connecting.missing(person.actor), told),
            mention=self._mention,
            public_url=self._public_url,
        )


def page(
    sessions: Sequence[Row],
    projects: Sequence[Row],
    *,
    zone: str | None,
    mention: str,
    public_url: str,
    connect: Entry,
    model: Entry | None = None,
) -> Sequence[Part]:
    """What a person's page says, from what is known; pure.

    :param connect: how they show which accounts are theirs
    :param model: which one their new sessions use; None: there is none to choose
    """
    mine = tuple(_session(row, public_url) for row in sessions)
    none = Entry(
        text=_(
            "None yet. Write `@{mention}` and what to do in a channel that I am in.",
            mention=mention,
        )
    )
    holds = [_project(row) for row in projects]
    holds += [] if projects else [Entry(text=_("There is no project yet."))]
    holds += [model] if model is not None else []
    holds += [_zone(zone), _languages()]
    return (
        Part(title=_("Your sessions"), entries=mine or (none,)),
        Part(title=_("What holds for new ones"), entries=tuple(holds)),
        Part(title=_("Connect"), entries=(connect,)),
    )


def wish(says: str, offers: Sequence[Offer]) -> Keep | None:
    """How to keep what a button of the page wants; None: it wants nothing that can be had."""
    command, _space, wanted = says.partition(" ")
    if command == LANGUAGE:
        return partial(languages.choose_locale, locale=None if wanted == FOLLOW else wanted)
    if command == ZONE and wanted:
        return partial(languages.choose_zone, zone=None if wanted == FOLLOW else wanted)
    if command != MODEL:
        return None
    if wanted == FOLLOW:
        return partial(defaults.choose, offer=None)
    offer = next((one for one in offers if one.options("") == wanted), None)
    return None if offer is None else partial(defaults.choose, offer=offer)


def connect_wish(says: str) -> Connect | None:
    """What a button of the page wants to be connected; None: it wants something else. Pure."""
    command, _space, forge = says.partition(" ")
    return Connect(forge=forge) if command == CONNECTS else None


def suggested(menu: str, typed: str) -> Sequence[str]:
    """What fits in a menu of the page: zones that have the words in them, in any order; pure."""
    words = typed.casefold().replace("_", " ").split()
    if menu != ZONE or not words:
        return ()
    known = ((one.casefold().replace("_", " "), one) for one in sorted(zones()))
    return [one for said, one in known if all(word in said for word in words)][:MATCHES_MAX]


def _connect(missing: Sequence[str] | None, told: str) -> Entry:
    """How to show which accounts are theirs, or what came of it.

    :param missing: the forges on which none is known; None: no forge can be asked
    """
    named = [
        Button(label=_("Connect {forge}", forge=name_of(one)), says=f"{CONNECTS} {one}")
        for one in missing or ()
    ]
    other = Button(label=_("Connect another account"), says=CONNECTS)
    known = CONNECTED if missing == [] else CONNECT
    return Entry(text=told or _(known), buttons=(*named, other))


def _zone(zone: str | None) -> Entry:
    """In which zone times are shown, and a menu of all."""
    said = _("Times are shown in {zone}.", zone=zone or UTC_ZONE)
    follow = Button(label=_("As in Slack"), says=f"{ZONE} {FOLLOW}")
    return Entry(text=said, buttons=(follow,), menu=Menu(name=ZONE, label=_(ZONE_MENU)))


def _models(own: Offer | None, offers: Sequence[Offer]) -> Entry:
    """Which model new sessions use, and a button for each that is offered."""
    if own is None:
        said = _("Your new sessions use the agent of their project, and its own model.")
    else:
        said = _(
            "Your new sessions use {model}, unless their project has another agent.",
            model=own.called,
        )
    named = [
        Button(label=short(one.called, LABEL_LENGTH_MAX), says=f"{MODEL} {one.options('')}")
        for one in offers
    ]
    follow = Button(label=_("As the project says"), says=f"{MODEL} {FOLLOW}")
    return Entry(text=said, buttons=(*named, follow))


def _languages() -> Entry:
    """Which language is spoken, and a button for each."""
    named = [Button(label=language_name(one), says=f"{LANGUAGE} {one}") for one in shipped()]
    follow = Button(label=_("As my Slack is set"), says=f"{LANGUAGE} {FOLLOW}")
    now = language_name(spoken().locale)
    return Entry(text=_("I speak {language} with you.", language=now), buttons=(*named, follow))


def _session(row: Row, public_url: str) -> Entry:
    title = short(settled(row["title"] or ""), TITLE_LENGTH_MAX) or _("no title")
    return Entry(
        text=f"{row['short']} · {session_state(row['state'])} · {row['project']} · {title}",
        url=f"{public_url}/sessions/{row['short']}" if public_url else "",
        label=_("Open"),
    )


def _project(row: Row) -> Entry:
    facts = [_("agent {agent}", agent=row["agent"])] if row["agent"] else []
    facts += [_("machine {size}", size=row["size"])] if row["size"] else []
    facts += [_("from {branch}", branch=row["base_branch"])] if row["base_branch"] else []
    said = f"{row['name']}: {', '.join(facts)}" if facts else str(row["name"])
    return Entry(text=short(settled(said), TITLE_LENGTH_MAX))
