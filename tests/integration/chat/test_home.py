"""The App Home of a person in Slack: their sessions, what holds for new ones, how to connect."""

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from adapters.chat.incoming import Author, Opened
from adapters.chat.port import Entry
from adapters.chat.slack.markup import HOME_BLOCKS_MAX, home
from adapters.forge.accounts import Accounts, github
from adapters.forge.port import Permission
from bot.conversation import home as homes
from bot.conversation.hearing import Chats
from bot.conversation.home import MEMBERS_ONLY, page
from bot.conversation.inbox import Inbox
from bot.govern.agents import Agents
from bot.govern.offers import Offer
from bot.govern.rights import Rights
from bot.store.ids import new_id
from tests.fakes.oauth import oauth
from tests.fakes.slack import Bad, eyes
from tests.fakes.slack.people import Person
from tests.integration.chat.conftest import SURFACE, Room, WhisperingChat
from tests.integration.chat.slack_rig import Office, open_office
from tests.support.shift import until


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


def shown(person: Person) -> list[str]:
    assert person.home is not None
    return [block["text"]["text"] for block in person.home["blocks"] if "text" in block]


async def opened(office: Office, person: Person) -> list[str]:
    """What the person's page says after they opened it."""
    before = person.home
    person.opens_home()
    await office.slack.until(lambda: person.home is not before)
    return shown(person)


async def test_it_lists_the_sessions_that_one_began_or_asked_in_and_no_others(office):
    async with office.serving():
        asked = office.asks("!echo *one* <!channel>")
        office.asks("!echo two", by=office.bo)
        await until(office.town, "SELECT 1 FROM prompt", lambda rows: len(rows) == 2)
        mine = await opened(office, office.ann)
        bos = await opened(office, office.bo)
        office.bo.says(office.general, f"{office.bot.user.mention} !echo more", thread=asked)
        await until(office.town, "SELECT 1 FROM prompt", lambda rows: len(rows) == 3)
        more = await opened(office, office.bo)
    assert [line.split(" · ")[1:] for line in mine if line.startswith("s-")] == [
        ["queued", "demo", "echo *one* @channel"]
    ]
    assert "echo two" in " ".join(bos)
    assert "echo *one*" not in " ".join(bos)
    assert len([line for line in more if line.startswith("s-")]) == 2
    assert any("demo: agent shell" in line for line in mine)
    assert any("Europe/Berlin" in line for line in mine)
    assert mine[-1] == homes.CONNECT


class HomeChat(WhisperingChat):
    """A surface that shows people their page."""

    parts = ()

    async def show_home(self, person, parts, deadline):
        self.parts = parts


async def test_a_narrow_session_is_listed_to_who_may_write_alone(town, forge):
    port, rights = HomeChat(), Rights(town.database, {"forge": forge})
    inbox = Inbox(town.database, prompt_bytes_max=1_000, rights=rights)
    chats = Chats(town.database, inbox, {SURFACE: port}, mention="ona")
    room = Room(chats=chats, port=port)
    await room.say("!echo two")
    url = "https://forge.test/acme/demo"
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=url)
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " SELECT :id, author_id, 'forge:forge.test', '7', 'ann' FROM prompt RETURNING id",
        id=new_id(),
    )
    for narrow, level, listed in (
        (False, Permission.READ, True),
        (True, Permission.READ, False),
        (True, Permission.WRITE, True),
    ):
        forge.levels["acme/demo", "7"] = level
        await town.rows("DELETE FROM permission RETURNING level")
        await town.rows("UPDATE session SET narrow = :narrow RETURNING id", narrow=narrow)
        await chats.hear(Opened(surface=SURFACE, author=Author(account="T", id="ann", name="Ann")))
        assert ("echo two" in str(port.parts)) is listed, (narrow, level)
    await port.close()


async def test_guests_get_no_list_and_the_other_tab_shows_nothing(office):
    guest = office.slack.person(office.team, "gil", is_restricted=True)
    async with office.serving():
        office.ann.opens_home("messages")
        assert await opened(office, guest) == ["ona", MEMBERS_ONLY]
        await office.heard()
    assert office.ann.home is None
    assert await office.town.value("SELECT count(*) FROM identity") == 0


async def test_a_guest_presses_a_button_of_somebodys_page_in_vain(office):
    guest = office.slack.person(office.team, "gil", is_restricted=True)
    async with office.serving():
        await opened(office, office.ann)
        for label in ("Deutsch", "Connect another account"):
            guest.clicks(office.ann.home, label)
        await office.heard()
    assert guest.home is None
    assert await office.town.value("SELECT count(*) FROM identity") == 1, "of Ann alone"


async def test_one_who_is_deactivated_reads_so(office):
    async with office.serving():
        await opened(office, office.ann)
        await office.town.rows(
            "UPDATE person SET deactivated_at = now() WHERE id IN (SELECT person_id FROM identity)"
            " RETURNING id"
        )
        assert "deactivated" in (await opened(office, office.ann))[1]


async def test_a_page_that_could_not_be_shown_is_shown_when_it_is_opened_again(office):
    async with office.serving():
        office.slack.behave("views.publish", Bad(status=503))
        office.ann.opens_home()
        await office.heard()
        assert office.ann.home is None
        assert await opened(office, office.ann)


LARGE = Offer(provider="alpha", agent="one", model="large")
SMALL = Offer(provider="alpha", agent="one", model="small")
AGENTS = Agents(names=("one", "two", "shell"), default="shell", offers=(LARGE, SMALL))
ASKED = "SELECT session.agent, session.model FROM session ORDER BY session.created_at"


async def chooses(office: Office, label: str, words: str) -> None:
    """Ann presses a button of her page, which says so then."""
    office.ann.clicks(office.ann.home, label)
    await office.slack.until(lambda: any(words in line for line in shown(office.ann)))


async def test_a_person_chooses_the_model_of_their_new_sessions_where_the_project_names_no_other(
    office,
):
    office.agents = AGENTS
    await office.town.rows("UPDATE project SET agent = NULL RETURNING id")
    async with office.serving():
        assert any("agent of their project" in line for line in await opened(office, office.ann))
        await chooses(office, "small (one)", "use small (one)")
        for number, (options, by) in enumerate(
            [
                ("", office.ann),
                ("model=large ", office.ann),
                ("agent=two ", office.ann),
                ("", office.bo),
            ]
        ):
            office.asks(f"{options}!echo one", by=by)
            await until(office.town, ASKED, lambda rows, n=number + 1: len(rows) == n)
        await chooses(office, "As the project says", "agent of their project")
        office.asks("!echo one")
        await until(office.town, ASKED, lambda rows: len(rows) == 5)
    assert await office.town.rows(ASKED) == [
        ("one", "small"),
        ("one", "large"),
        ("two", None),
        ("shell", None),
        ("shell", None),
    ]


async def test_the_agent_of_a_project_goes_before_the_one_that_a_person_chose(office):
    office.agents = AGENTS
    async with office.serving():
        await opened(office, office.ann)
        await chooses(office, "small (one)", "use small (one)")
        office.asks("!echo one")
        await until(office.town, ASKED, bool)
    assert await office.town.rows(ASKED) == [("shell", None)]


async def test_a_model_that_is_offered_no_more_is_nobodys_choice(office):
    office.agents = AGENTS
    await office.town.rows("UPDATE project SET agent = NULL RETURNING id")
    async with office.serving():
        await opened(office, office.ann)
        await chooses(office, "small (one)", "use small (one)")
    office.agents = Agents(names=AGENTS.names, default="shell", offers=(LARGE,))
    async with office.serving():
        assert any("agent of their project" in line for line in await opened(office, office.ann))
        office.asks("!echo one")
        await until(office.town, ASKED, bool)
    assert await office.town.rows(ASKED) == [("shell", None)]


async def test_a_zone_is_chosen_by_typing_a_part_of_its_name(office):
    async with office.serving():
        await opened(office, office.ann)
        zone = homes.ZONE_MENU
        assert await office.ann.types(office.ann.home, zone, "new york") == ["America/New_York"]
        assert await office.ann.types(office.ann.home, zone, "nowhere") == []
        many = await office.ann.types(office.ann.home, zone, "a")
        assert len(many) == homes.MATCHES_MAX
        await office.ann.picks(office.ann.home, zone, "tokyo")
        await office.slack.until(lambda: any("Asia/Tokyo" in line for line in shown(office.ann)))
        assert any("Asia/Tokyo" in line for line in await opened(office, office.ann))
        chose = "SELECT count(*) FROM person WHERE zone_chosen"
        assert await office.town.value(chose) == 1
        office.ann.clicks(office.ann.home, "As in Slack")
        await office.slack.until(lambda: any("Europe/Berlin" in line for line in shown(office.ann)))
        assert await office.town.value(chose) == 0


async def test_an_account_at_a_code_host_is_connected_from_the_page(office):
    async with oauth() as forge, aiohttp.ClientSession() as session:
        at = github(forge.url, forge.url)
        accounts = Accounts(at, session, client_id="app", client_secret=None)
        office.accounts = {"github": accounts}
        async with office.serving():
            assert (await opened(office, office.ann))[-1] == homes.CONNECT
            await chooses(office, "Connect GitHub", "and type")
            code = re.search(r"type `([^`]+)`", shown(office.ann)[-1])[1]
            forge.types(code, 1)
            await office.slack.until(lambda: "ann on github" in shown(office.ann)[-1])
            assert (await opened(office, office.ann))[-1] == homes.CONNECTED
            labels = [
                one["text"]["text"] for _block, one in eyes.buttons(office.ann.home["blocks"])
            ]
            assert "Connect GitHub" not in labels
            await chooses(office, "Connect another account", "Your code is")
    known = "SELECT surface FROM identity WHERE external_id = '1'"
    assert await office.town.value(known) == f"github:{accounts.host}"
    assert not await office.town.rows("SELECT 1 FROM prompt"), "nothing of it is a prompt"


def test_zones_are_found_by_words_in_any_order():
    assert homes.suggested("zone", "york new") == ["America/New_York"]
    assert homes.suggested("zone", "  ") == ()
    assert homes.suggested("else", "new york") == ()


def test_what_is_not_offered_can_not_be_wished():
    assert homes.wish("model agent=one model=large", AGENTS.offers) is not None
    assert homes.wish("model agent=one model=huge", AGENTS.offers) is None
    assert homes.wish("stop", AGENTS.offers) is None


SESSION = {"short": "s-1", "state": "idle", "title": "a\x1b[31mb\n" + "x" * 1_000, "project": "web"}


def test_titles_are_one_bounded_line_and_lead_to_the_page_where_there_is_one():
    known = {"zone": None, "mention": "ona", "connect": Entry(text="")}
    parts = page([SESSION], [], **known, public_url="https://ona.example")
    (entry,) = parts[0].entries
    assert entry.url == "https://ona.example/sessions/s-1"
    assert entry.text.startswith("s-1 · idle · web · ab xxx")
    assert len(entry.text) < homes.TITLE_LENGTH_MAX + 50
    (without,) = page([SESSION], [], **known, public_url="")[0].entries
    assert without.url == ""


def test_a_page_fits_into_a_view_whatever_is_known():
    project = {"name": "n" * 500, "agent": "a", "size": "s", "base_branch": "b"}
    parts = page(
        [SESSION] * homes.SESSIONS_MAX,
        [project] * homes.PROJECTS_MAX,
        zone="UTC",
        mention="ona",
        connect=Entry(text=""),
        public_url="https://ona.example",
    )
    blocks = home(parts)
    assert len(blocks) == 3 + homes.SESSIONS_MAX + homes.PROJECTS_MAX + 5
    assert len(home(parts * 10)) == HOME_BLOCKS_MAX
