"""The App Home of a person in Slack: their sessions, what holds for new ones, how to connect."""

from collections.abc import AsyncIterator

import pytest

from adapters.chat.slack.markup import HOME_BLOCKS_MAX, home
from bot.conversation import home as homes
from bot.conversation.home import MEMBERS_ONLY, page
from tests.fakes.slack import Bad
from tests.fakes.slack.people import Person
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


async def test_guests_get_no_list_and_the_other_tab_shows_nothing(office):
    guest = office.slack.person(office.team, "gil", is_restricted=True)
    async with office.serving():
        office.ann.opens_home("messages")
        assert await opened(office, guest) == ["ona", MEMBERS_ONLY]
        await office.heard()
    assert office.ann.home is None
    assert await office.town.value("SELECT count(*) FROM identity") == 0


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


SESSION = {"short": "s-1", "state": "idle", "title": "a\x1b[31mb\n" + "x" * 1_000, "project": "web"}


def test_titles_are_one_bounded_line_and_lead_to_the_page_where_there_is_one():
    parts = page([SESSION], [], zone=None, mention="ona", public_url="https://ona.example")
    (entry,) = parts[0].entries
    assert entry.url == "https://ona.example/sessions/s-1"
    assert entry.text.startswith("s-1 · idle · web · ab xxx")
    assert len(entry.text) < homes.TITLE_LENGTH_MAX + 50
    (without,) = page([SESSION], [], zone=None, mention="ona", public_url="")[0].entries
    assert without.url == ""


def test_a_page_fits_into_a_view_whatever_is_known():
    project = {"name": "n" * 500, "agent": "a", "size": "s", "base_branch": "b"}
    parts = page(
        [SESSION] * homes.SESSIONS_MAX,
        [project] * homes.PROJECTS_MAX,
        zone="UTC",
        mention="ona",
        public_url="https://ona.example",
    )
    blocks = home(parts)
    assert len(blocks) == 3 + homes.SESSIONS_MAX + homes.PROJECTS_MAX + 4
    assert len(home(parts * 10)) == HOME_BLOCKS_MAX
