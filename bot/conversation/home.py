"""The page that a surface keeps for each person: their sessions, what holds for new ones, a hint.

    opened ─▶ who is it? ─▶ their sessions, the projects ─▶ `page` (pure) ─▶ the port shows it

It is made anew each time it is opened; showing it is idempotent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import text

from adapters.chat.incoming import Chosen, Opened
from adapters.chat.port import Button, ChatError, ChatPort, Deadline, Entry, HasHome, Part
from bot.conversation.acquaintance import Acquaintances
from bot.errors import Refused
from bot.govern import languages
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.database import Database
from bot.words.amounts import short
from bot.words.catalogue import N_, language_name, shipped, speaking, spoken
from bot.words.catalogue import gettext as _
from bot.words.events import session_state
from bot.words.plain import settled
from bot.words.sentences import sentence

log = structlog.get_logger(__name__)

SHOW_SECONDS = 2.5
LANGUAGE = "language"
FOLLOW = "auto"
"""What the buttons that choose a language say."""
SESSIONS_MAX = 20
PROJECTS_MAX = 20
TITLE_LENGTH_MAX = 150
"""Of a session, as it is shown here."""
MEMBERS_ONLY = N_("Only members of this workspace can use this.")
CONNECT = N_(
    "What you may ask here follows your own account on the code host. Write `connect` to me in a"
    " direct message to show which one is yours."
)

_SESSIONS = text(
    """
    SELECT session.short, session.state, session.title, project.name AS project,
           project.id AS project_id, session.private_to
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


class Home:
    """Shows people their page."""

    def __init__(
        self,
        database: Database,
        ports: Mapping[str, ChatPort],
        *,
        mention: str,
        rights: Rights,
        public_url: str = "",
    ) -> None:
        """`ports` by surface; without a `public_url` there are no links."""
        self._database = database
        self._rights = rights
        self._ports = ports
        self._mention = mention
        self._public_url = public_url.rstrip("/")

    async def show(self, opened: Opened, people: Acquaintances) -> None:
        """Show whoever opened it their page; what goes wrong is logged, they can open it again."""
        port: object = self._ports.get(opened.surface)
        if not isinstance(port, HasHome):
            return
        deadline = Deadline.after(SHOW_SECONDS)
        parts = await self._parts(opened, people)
        try:
            await port.show_home(opened.author.id, parts, deadline)
        except ChatError as error:
            log.info("home_not_shown", surface=opened.surface, why=str(error))

    async def choose(self, chosen: Chosen, people: Acquaintances) -> None:
        """Keep the language that somebody chose on their page, and show it in that."""
        wish = language_wish(chosen.says)
        if wish is None or chosen.author.standing != "member":
            return
        try:
            person = await people.meet(chosen.author, chosen.surface)
            async with self._database.begin() as tx:
                await languages.choose_locale(tx, person.actor.id, wish or None)
        except Refused as refusal:
            log.info("language_not_chosen", surface=chosen.surface, why=str(refusal))
            return
        reader = await people.reader(chosen.author, chosen.surface)
        with speaking(reader.locale, reader.zone):
            await self.show(Opened(surface=chosen.surface, author=chosen.author), people)

    async def _parts(self, opened: Opened, people: Acquaintances) -> Sequence[Part]:
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
        return page(
            await self._rights.visible(standing, sessions),
            await self._rights.visible(standing, projects),
            zone=person.reader.zone,
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
) -> Sequence[Part]:
    """What a person's page says, from what is known; pure."""
    mine = tuple(_session(row, public_url) for row in sessions)
    none = Entry(
        text=_(
            "None yet. Write `@{mention}` and what to do in a channel that I am in.",
            mention=mention,
        )
    )
    defaults = [_project(row) for row in projects]
    defaults += [] if projects else [Entry(text=_("There is no project yet."))]
    defaults += [Entry(text=_("Times are shown in {zone}.", zone=zone))] if zone else []
    defaults.append(_languages())
    return (
        Part(title=_("Your sessions"), entries=mine or (none,)),
        Part(title=_("What holds for new ones"), entries=tuple(defaults)),
        Part(title=_("Connect"), entries=(Entry(text=_(CONNECT)),)),
    )


def language_wish(says: str) -> str | None:
    """The locale that a button of the page wants; "": that of the surface; None: it wants none."""
    command, _space, locale = says.partition(" ")
    if command != LANGUAGE:
        return None
    return "" if locale == FOLLOW else locale


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
