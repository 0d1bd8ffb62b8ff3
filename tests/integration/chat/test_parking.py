"""A message that could be about several projects: asked, kept, and run once for the one chosen."""

from datetime import UTC, datetime

import pytest

from adapters.chat.incoming import Attached, Quoted
from adapters.chat.port import Button, ChatError, Uncertain
from adapters.forge.port import Permission
from bot.conversation import keeping
from bot.conversation.hearing import Chats
from bot.conversation.inbox import Inbox
from bot.conversation.parking import Choice
from bot.govern.rights import Rights
from tests.integration.chat.conftest import SPOT, SURFACE, Room, WhisperingChat


class AskingChat:
    """What the port was told, and what it still fails with."""

    def __init__(self, port) -> None:
        self.posts: list[tuple[str, str, tuple[Button, ...]]] = []
        self.edits: list[tuple[str, str, tuple[Button, ...]]] = []
        self.trouble: list[ChatError] = []
        port.post, port.edit, port.find = self.post, self.edit, self.find

    async def post(self, place, content, mark, deadline):
        if self.trouble:
            raise self.trouble.pop()
        self.posts.append((mark, content.text, content.buttons))
        return str(len(self.posts))

    async def edit(self, place, ref, content, deadline):
        self.edits.append((ref, content.text, content.buttons))

    async def find(self, place, mark, deadline):
        return next((mark for known, *_ in self.posts if known == mark), None)


@pytest.fixture
async def asking(town, room) -> AskingChat:
    await town.rows(
        "INSERT INTO project (id, name, repository_url, agent) VALUES"
        " (gen_random_uuid(), 'web', 'https://github.com/acme/web', 'shell') RETURNING id"
    )
    return AskingChat(room.port)


async def prompts(town):
    return await town.rows(
        "SELECT project.name, delivery.text FROM prompt JOIN session ON session.id ="
        " prompt.session_id JOIN project ON project.id = session.project_id"
        " JOIN delivery ON delivery.prompt_id = prompt.id ORDER BY delivery.received_at"
    )


async def connect(town, room, forge, *repositories, by):
    """Let them have an account on the forge that may write to these."""
    await room.say("help", by=by)
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " SELECT gen_random_uuid(), person_id, 'forge:forge.test', external_id, name FROM identity"
        "  WHERE external_id = :by AND surface = 'fake:T' RETURNING id",
        by=by,
    )
    for repository in repositories:
        forge.levels[repository, by] = Permission.WRITE


async def press(room, says, *, by="ann", **more):
    await room.say(says, by=by, pressed=True, post="9", ref="", **more)


async def test_the_prompt_waits_for_a_button_and_runs_once_in_the_name_of_who_asked(
    town, room, asking
):
    await room.say("!one")
    ((_, words, buttons),) = asking.posts
    assert "Which project" in words
    assert [button.label for button in buttons] == ["demo", "web"]
    assert await prompts(town) == []
    await press(room, buttons[1].says, by="bo")
    await press(room, buttons[0].says)
    assert await prompts(town) == [("web", "one")]
    asker = "SELECT asker, place FROM prompt JOIN thread ON thread.id = prompt.thread_id"
    assert await town.rows(asker) == [("ann", SPOT.place)]


async def test_the_post_says_what_was_chosen_and_offers_it_for_the_channel(town, room, asking):
    await room.say("!one")
    await press(room, asking.posts[0][2][1].says)
    ref, words, (always,) = asking.edits[0]
    assert (ref, words) == ("9", "Project web.")
    await press(room, always.says)
    assert "from now on" in asking.edits[1][1]
    await room.say("!two", spot=SPOT.__class__(surface=SURFACE, channel="T/C", place="T/C/2"))
    assert await prompts(town) == [("web", "one"), ("web", "two")]
    assert len(asking.posts) == 1


async def test_a_message_that_comes_again_is_asked_about_once(town, room, asking):
    message = await room.say("!one")
    await room.chats.hear(message)
    assert len(asking.posts) == 1


async def test_one_whose_question_was_not_posted_is_asked_about_when_it_comes_again(room, asking):
    asking.trouble.append(Uncertain("?"))
    message = await room.say("!one")
    assert asking.posts == []
    await room.chats.hear(message)
    assert len(asking.posts) == 1


async def test_a_link_or_a_name_is_never_asked_about(town, room, asking):
    await room.say("look at https://github.com/acme/web/issues/3")
    await room.say(
        "project=demo !two", spot=SPOT.__class__(surface=SURFACE, channel="T/C", place="T/C/2")
    )
    assert [name for name, _ in await prompts(town)] == ["web", "demo"]
    assert asking.posts == []


async def test_what_was_asked_is_kept_for_a_day(town, room, asking):
    await room.say("!one")
    await town.rows(
        "UPDATE parked SET created_at = now() - interval '23 hours 59 minutes' RETURNING id"
    )
    async with town.database.begin() as tx:
        await keeping.expire(tx)
    await press(room, asking.posts[0][2][0].says)
    assert len(await prompts(town)) == 1


async def test_what_was_asked_too_long_ago_is_gone(town, room, asking):
    await room.say("!one")
    await town.rows(
        "UPDATE parked SET created_at = now() - interval '24 hours 1 minute' RETURNING id"
    )
    await press(room, asking.posts[0][2][0].says)
    assert "too long ago" in room.whispers[-1][1]
    assert await prompts(town) == []
    async with town.database.begin() as tx:
        await keeping.expire(tx)
    assert await town.value("SELECT count(*) FROM parked") == 0


async def test_a_project_that_is_gone_meanwhile_is_told(town, room, asking):
    await room.say("!one")
    await town.rows("UPDATE project SET removed_at = now() WHERE name = 'web' RETURNING id")
    await press(room, asking.posts[0][2][1].says)
    assert "no project web" in room.whispers[-1][1]


async def test_words_that_somebody_types_are_no_choice(town, room, asking):
    await room.say("!one")
    await room.say(asking.posts[0][2][0].says)
    assert await prompts(town) == []
    assert len(asking.posts) == 2


@pytest.mark.parametrize("says", ["stop", "choose x once web", "choose 1-1 once web", ""])
def test_other_words_of_buttons_are_no_choice(says):
    assert Choice.read(says) is None


async def test_the_wrong_project_is_stopped_and_the_prompt_asked_again_in_a_new_session(
    town, room, asking
):
    await room.say("project=demo !one")
    first = await town.value("SELECT short FROM session")
    await press(room, "wrong project", by="bo")
    await press(room, "wrong project", by="bo")
    ((_, words, buttons),) = asking.posts
    assert "Which project" in words
    assert await town.value("SELECT state FROM prompt") == "cancelled"
    await press(room, buttons[1].says)
    assert await prompts(town) == [("demo", "one"), ("web", "one")]
    assert await town.rows("SELECT kind, author_id FROM prompt ORDER BY created_at") == [
        ("command", author) for (author,) in await town.rows("SELECT author_id FROM prompt")
    ]
    now = await town.value(
        "SELECT short FROM session JOIN thread ON thread.session_id = session.id"
    )
    assert now != first


async def test_what_was_for_the_wrong_project_keeps_what_came_with_it(town, room, asking):
    quoted = (Quoted(key="T/C/0", author="Bo", at=datetime.now(UTC), text="it is red"),)
    file = Attached(key="T/C/1", name="a.txt", media_type="text/plain", data=b"words")
    await room.say("project=demo !one", key="T/C/1", quoted=quoted, files=(file,))
    await press(room, "wrong project")
    await press(room, asking.posts[0][2][1].says)
    came = "SELECT quoted -> 0 ->> 'text', data FROM delivery JOIN attachment ON"
    came += " attachment.delivery_id = delivery.id ORDER BY received_at"
    assert await town.rows(came) == [("it is red", b"words")] * 2


async def test_a_prompt_that_ended_can_have_been_for_the_wrong_project_too(town, room, asking):
    await room.say("project=demo !one")
    for state in ("running", "done"):
        await town.rows("UPDATE prompt SET state = :state RETURNING id", state=state)
    await press(room, "wrong project")
    assert len(asking.posts) == 1


async def test_words_that_nobody_pressed_move_nothing(town, room, asking):
    await room.say("project=demo !one")
    await room.say("wrong project")
    assert asking.posts == []


async def test_words_that_come_with_a_command_or_a_menu_are_no_button(town, room, asking):
    await room.say("!one")
    says = asking.posts[0][2][1].says
    await press(room, says.replace("once web", "always demo"), by="bo", typed=True)
    await room.say("!two", spot=SPOT.__class__(surface=SURFACE, channel="T/C", place="T/C/2"))
    assert len(asking.posts) == 3, "no project is set for the channel"
    assert await town.value("SELECT count(*) FROM channel WHERE project_id IS NOT NULL") == 0


async def test_others_choose_only_what_they_may_write_to_and_so_for_a_channel(town, forge):
    port, rights = WhisperingChat(), Rights(town.database, {"forge": forge})
    inbox = Inbox(town.database, prompt_bytes_max=10_000, rights=rights)
    room = Room(chats=Chats(town.database, inbox, {SURFACE: port}, mention="ona"), port=port)
    asking = AskingChat(port)
    for name in ("one", "two"):
        await town.rows(
            "INSERT INTO project (id, name, repository_url, agent)"
            " VALUES (gen_random_uuid(), :name, :url, 'shell') RETURNING id",
            name=name,
            url=f"https://forge.test/acme-{name}",
        )
    await connect(town, room, forge, "acme-one", "acme-two", by="ann")
    await connect(town, room, forge, "acme-one", by="bo")
    await room.say("!x")
    says = {button.label: button.says for button in asking.posts[0][2]}
    await press(room, says["two"], by="bo")
    assert (await prompts(town), asking.edits) == ([], [])
    await press(room, says["one"], by="bo")
    assert await prompts(town) == [("one", "x")]
    always = asking.edits[0][2][0].says
    forge.levels["acme-one", "bo"] = Permission.READ
    await town.rows("DELETE FROM permission RETURNING 1")
    await press(room, always, by="bo")
    assert await town.value("SELECT count(*) FROM channel WHERE project_id IS NOT NULL") == 0
    await press(room, always)
    assert await town.value("SELECT count(*) FROM channel WHERE project_id IS NOT NULL") == 1
    await port.close()


async def test_who_presses_later_than_another_is_shown_what_was_chosen(town, room, asking):
    await room.say("!one")
    demo, web = asking.posts[0][2]
    await press(room, web.says, by="bo")
    await press(room, demo.says)
    assert [words for _, words, _ in asking.edits] == ["Project web.", "Project web."]
