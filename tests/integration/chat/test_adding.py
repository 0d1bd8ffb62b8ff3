"""A repository without a project: who may is offered to add it, and their prompt runs in it."""

import asyncio

import pytest
from pydantic import SecretStr

from adapters.forge.port import Permission
from bot.config import GitLabSettings
from bot.conversation.hearing import Chats
from bot.conversation.inbox import Inbox
from bot.errors import NotFound
from bot.govern.rights import Rights
from tests.fakes.forge import KnowingForge
from tests.fakes.gitlab import DEVELOPER, FakeGitLab
from tests.integration.chat.conftest import SPOT, SURFACE, Room, WhisperingChat
from tests.integration.chat.serving import serving
from tests.integration.chat.slack_rig import open_office
from tests.support.shift import Shift

API = "https://forge.test/acme/api.git"
LINK = "look at https://forge.test/acme/api/pull/3, please"


class Look:
    """What is asked whether it can be read."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: list[NotFound] = []
        self.door = asyncio.Event()
        self.door.set()

    async def __call__(self, url: str) -> None:
        self.asked.append(url)
        await self.door.wait()
        if self.trouble:
            raise self.trouble.pop()


@pytest.fixture
async def forge():
    forge = PathForge()
    yield forge
    await forge.close()


class PathForge(KnowingForge):
    """One whose repositories have two parts."""

    def repository(self, url):
        name = super().repository(url)
        return name if name is not None and name.count("/") == 1 else None


@pytest.fixture
def look() -> Look:
    return Look()


@pytest.fixture
async def room(town, forge, look):
    port, rights = WhisperingChat(), Rights(town.database, {"forge": forge})
    inbox = Inbox(town.database, prompt_bytes_max=10_000, rights=rights)
    chats = Chats(town.database, inbox, {SURFACE: port}, mention="ona", check_repository=look)
    yield Room(chats=chats, port=port)
    await port.close()


async def connect(town, room, forge, level: Permission, *, by: str = "ann") -> None:
    """Let them have an account on the forge, which may that."""
    await room.say("help", by=by)
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " SELECT gen_random_uuid(), person_id, 'forge:forge.test', external_id, name FROM identity"
        "  WHERE external_id = :by AND surface = 'fake:T' RETURNING id",
        by=by,
    )
    forge.levels["acme/api", by] = level
    room.port.whispers.clear()


async def press(room, whisper=-1, *, by="ann", spot=SPOT) -> None:
    """Press the only button of a whisper, and wait until that was done."""
    ((says,),) = [room.whispers[whisper][2]]
    await room.say(says, by=by, spot=spot, pressed=True, ref="")
    await room.chats.adding.done()


async def prompts(town):
    return await town.rows(
        "SELECT project.name, project.repository_url, delivery.text, thread.place FROM prompt"
        "  JOIN session ON session.id = prompt.session_id"
        "  JOIN project ON project.id = session.project_id"
        "  JOIN thread ON thread.id = prompt.thread_id"
        "  JOIN delivery ON delivery.prompt_id = prompt.id ORDER BY delivery.received_at"
    )


@pytest.mark.parametrize("words", [LINK, "repo=acme/api do it", f"repo={API} do it"])
async def test_who_may_is_offered_it_alone_and_the_prompt_runs_in_the_new_project(
    town, room, forge, look, words
):
    await connect(town, room, forge, Permission.WRITE)
    message = await room.say(words)
    await room.chats.hear(message)
    ((person, told, _),) = room.whispers
    assert (person, told.startswith("forge.test/acme/api has no project here")) == ("ann", True)
    assert await prompts(town) == []
    await press(room)
    await press(room, 0)
    text = words.rpartition("api ")[2] if words.startswith("repo=") else words
    text = "do it" if words.startswith("repo=") else text
    assert await prompts(town) == [("api", API, text, SPOT.place)]
    assert look.asked[0] == API
    assert room.whispers[1][1] == "Project api is added, and what you asked runs in it."


async def test_pressed_twice_at_once_it_is_added_once(town, room, forge, look):
    await connect(town, room, forge, Permission.WRITE)
    await room.say(LINK)
    look.door.clear()
    says = room.whispers[0][2][0]
    for _ in range(2):
        await room.say(says, pressed=True, ref="")
    look.door.set()
    await room.chats.adding.done()
    assert [name for name, *_ in await prompts(town)] == ["api"]
    assert await town.value("SELECT count(*) FROM project") == 2


async def test_a_direct_message_can_press_for_a_thread(town, room, forge):
    await connect(town, room, forge, Permission.WRITE)
    await room.say(LINK)
    direct = SPOT.__class__(surface=SURFACE, channel="T/D", place="T/D/", direct=True)
    await press(room, spot=direct)
    assert [place for *_, place in await prompts(town)] == [SPOT.place]


async def test_one_that_can_not_be_read_is_not_added_and_that_is_said(town, room, forge, look):
    await connect(town, room, forge, Permission.WRITE)
    await room.say(LINK)
    look.trouble.append(NotFound("it can't be read from here", do="give git a way in"))
    await press(room)
    assert "It can't be read from here" in room.whispers[-1][1]
    assert await town.value("SELECT count(*) FROM project") == 1
    # It can be, later.
    await press(room, 0)
    assert [name for name, *_ in await prompts(town)] == ["api"]


async def test_nobody_else_can_press_it(town, room, forge):
    await connect(town, room, forge, Permission.WRITE)
    await connect(town, room, forge, Permission.WRITE, by="bo")
    await room.say(LINK)
    await press(room, by="bo")
    assert "Somebody else asked this" in room.whispers[-1][1]
    assert await town.value("SELECT count(*) FROM project") == 1


async def test_who_lost_the_right_meanwhile_adds_nothing(town, room, forge):
    await connect(town, room, forge, Permission.WRITE)
    await room.say("repo=acme/api do it")
    forge.levels["acme/api", "ann"] = Permission.READ
    await town.rows("DELETE FROM permission RETURNING person_id")
    await press(room)
    assert "ask somebody who may write to it" in room.whispers[-1][1]
    assert await town.value("SELECT count(*) FROM project") == 1


async def test_who_may_not_is_told_whom_to_ask_and_an_unknown_person_how_to_connect(
    town, room, forge
):
    await room.say("repo=acme/api do it")
    assert "which account on forge.test is yours" in room.whispers[-1][1]
    await connect(town, room, forge, Permission.READ)
    await town.rows("DELETE FROM permission RETURNING person_id")
    await room.say("repo=acme/api do it")
    assert room.whispers[-1][1] == (
        "acme/api has no project here; nothing was run; ask somebody who may write to it to say"
        " the same here, or who runs ona to add it."
    )
    assert room.whispers[-1][2] == ()
    assert await prompts(town) == []


@pytest.mark.parametrize("level", [Permission.NONE, Permission.READ])
async def test_a_link_to_what_one_may_not_write_to_is_only_a_link(town, room, forge, level):
    await connect(town, room, forge, level)
    await room.say(LINK)
    assert room.whispers == []
    assert [name for name, *_ in await prompts(town)] == ["demo"]


async def test_what_is_set_said_or_linked_to_besides_goes_before(town, room, forge):
    await connect(town, room, forge, Permission.WRITE)
    spots = (SPOT.__class__(surface=SURFACE, channel="T/C", place=f"T/C/{n}") for n in (2, 3, 4))
    await room.say(f"project=demo {LINK}", spot=next(spots))
    await town.rows(
        "INSERT INTO project (id, name, repository_url, agent) VALUES"
        " (gen_random_uuid(), 'web', 'https://forge.test/acme/web', 'shell') RETURNING id"
    )
    forge.levels["acme/web", "ann"] = Permission.WRITE
    await room.say(f"{LINK} and https://forge.test/acme/web/issues/1", spot=next(spots))
    await town.rows(
        "INSERT INTO channel (id, surface, address, project_id)"
        " SELECT gen_random_uuid(), 'fake', 'T/C', id FROM project WHERE name = 'demo'"
        " RETURNING id"
    )
    await room.say(LINK, spot=next(spots))
    assert room.whispers == []
    assert [name for name, *_ in await prompts(town)] == ["demo", "web", "demo"]


async def test_a_name_that_is_taken_gets_the_owners_in_front(town, room, forge):
    await connect(town, room, forge, Permission.WRITE)
    forge.levels["acme/demo", "ann"] = Permission.WRITE
    await room.say("repo=acme/demo do it")
    await press(room)
    assert [name for name, *_ in await prompts(town)] == ["acme-demo"]


async def test_after_a_day_it_is_too_late(town, room, forge):
    await connect(town, room, forge, Permission.WRITE)
    await room.say(LINK)
    await town.rows("UPDATE parked SET created_at = now() - interval '25 hours' RETURNING id")
    await press(room)
    assert "too long ago" in room.whispers[-1][1]


@pytest.mark.parametrize("says", ["add project x", f"add project {'-' * 36}"])
async def test_other_words_of_buttons_add_nothing(town, room, forge, says):
    await connect(town, room, forge, Permission.WRITE)
    await room.say(says, pressed=True, ref="")
    assert await town.value("SELECT count(*) FROM project") == 1


async def test_in_slack_a_link_to_gitlab_shows_the_button_to_its_asker_alone(town, places):
    async with open_office(town) as office, FakeGitLab() as gitlab:
        ann, bot = gitlab.person("ann"), gitlab.person("ona-bot", is_bot=True)
        project = gitlab.project("acme/tools/api", {ann: DEVELOPER, bot: DEVELOPER})
        request = ann.opens(project)
        ours = GitLabSettings(token=SecretStr(bot.token), url=gitlab.url)
        settings = office.settings.model_copy(update={"gitlab": ours})
        async with serving(town, settings), Shift(town, places, "w"):
            await office.slack.until(lambda: office.slack.out.sockets.open)
            office.ann.says(office.ann.direct(office.bot.user), "help")
            await office.heard()
            await town.rows(
                "INSERT INTO identity (id, person_id, surface, external_id, name)"
                " SELECT gen_random_uuid(), person_id, :forge, :id, name FROM identity"
                "  WHERE surface LIKE 'slack:%' RETURNING id",
                forge=f"gitlab:{gitlab.url.partition('://')[2]}",
                id=str(ann.id),
            )
            link = f"{gitlab.url}/acme/tools/api/-/merge_requests/{request.iid}"
            asked = office.asks(f"new: look at {link}")
            await office.slack.until(lambda: whispered(office, office.ann))
            alone = whispered(office, office.ann)
            assert whispered(office, office.bo) is None
            office.ann.clicks(alone, "Add project")
            await office.answered(asked, "Failed")
    assert await town.rows("SELECT repository_url FROM project WHERE name = 'api'") == [
        (f"{gitlab.url}/acme/tools/api.git",)
    ]


def whispered(office, person):
    """The last that only they see, if it has a button."""
    found = [one for one in office.general.messages if one.only_for is person and one.blocks]
    return next((one for one in reversed(found) if "Add project" in str(one.blocks)), None)
