"""The contract of a chat port, held against the fake surface and all that we speak to."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from adapters.chat.discord.port import THREAD_NAME_LENGTH_MAX, DiscordChat
from adapters.chat.port import (
    AfterUncertain,
    Button,
    ChatPort,
    Content,
    Deadline,
    Gone,
    Phase,
    Picture,
    Rejected,
    Sign,
    Throttled,
    Unavailable,
    Uncertain,
)
from adapters.chat.slack.calls import client, open_session
from adapters.chat.slack.port import SlackChat
from adapters.chat.terminal import TerminalChat
from adapters.forge.github.app import App
from adapters.forge.github.port import GitHubForge
from adapters.forge.gitlab.client import Client as GitLabClient
from adapters.forge.gitlab.port import GitLabForge
from adapters.forge.marks import Marks
from bot.conversation.fences import TEXT_LENGTH_MIN
from bot.conversation.marked import written
from tests.fakes.chat import Bad, ChatServer, FakeChat, shown
from tests.fakes.discord import Bad as DiscordBad
from tests.fakes.discord import FakeDiscord
from tests.fakes.discord.pointed import pointed_at
from tests.fakes.github import FakeGitHub
from tests.fakes.github.people import Thread
from tests.fakes.gitlab import DEVELOPER, FakeGitLab
from tests.fakes.gitlab import Bad as GitLabBad
from tests.fakes.gitlab.eyes import shown as shown_by_gitlab
from tests.fakes.slack import Bad as SlackBad
from tests.fakes.slack import FakeSlack

HOSTILE = (
    "plain words",
    "```\n@everyone out of the block\n```",
    "*bold* _thin_ `code` ~~gone~~",
    "<@U123> <!channel> @here @ann",
    "&lt;b&gt; & &amp; <script>alert(1)</script>",
    "\\@ann \\\\@ann \\`x\\`",
    "[a](http://x) ![i](http://y) # head\n> quote\n- item",
    "````\n```\n````",
    "many lines\n\n\n  indented\n",
    "ünïcödé 🦔 \u202e",
)
PLACE = "acct/thread"


class Rig:
    """A port, and the eyes of the people in its threads where there are any."""

    def __init__(self, port: ChatPort, *, place: str = PLACE) -> None:
        self.port = port
        self.place = place
        self.mark = str(uuid.uuid4())

    async def post(self, text: str = "hello", *, mark: str | None = None):
        content = Content(text=text)
        return await self.port.post(self.place, content, mark or self.mark, Deadline.after(10))

    async def edit(self, ref: str, text: str):
        await self.port.edit(self.place, ref, Content(text=text), Deadline.after(10))

    async def find(self, mark: str):
        return await self.port.find(self.place, mark, Deadline.after(10))

    def seen(self) -> list[str] | None:
        """What people read in the thread; None: there are none."""
        return None

    def pinged(self) -> bool:
        """Whether anything that was posted notifies anybody by what is in it."""
        return False


class FakeRig(Rig):
    """A surface behind a network, with a small markup of its own."""

    port: FakeChat

    def __init__(self, port: FakeChat, server: ChatServer) -> None:
        super().__init__(port)
        self.server = server

    def seen(self):
        return self.server.texts(PLACE)

    def pinged(self):
        return any(shown(post.text).mentions for post in self.server.posts)


class SlackRig(Rig):
    """Slack's Web API."""

    def __init__(self, slack: FakeSlack, session) -> None:
        team = slack.workspace("acme")
        bot = slack.install(team)
        self.slack, self.slack_team, self.bot_user = slack, team, bot.user
        self.ann = slack.person(team, "ann")
        self.channel = slack.channel(team, "general", self.ann, bot.user)
        self.root = self.ann.says(self.channel, "root")
        self.ann.notifications.clear()
        port = SlackChat(client(bot.token, session, api=slack.api_url))
        super().__init__(port, place=f"{team.id}/{self.channel.id}/{self.root.ts}")

    def seen(self):
        return [one.text for one in self.ann.sees(self.channel, self.root)[1:]]

    def pinged(self):
        return any(note.why != "thread" for note in self.ann.notifications)


class DiscordRig(Rig):
    """Discord's REST API; the thread does not exist before the first post."""

    def __init__(self, fake: FakeDiscord) -> None:
        self.app = app = fake.app("ona")
        self.fake = fake
        self.ann = fake.person("ann")
        guild = fake.guild("town", self.ann)
        fake.install(app, guild)
        self.general = fake.channel(guild, "general")
        self.root = self.ann.says(self.general, f"<@{app.id}> root of all")
        super().__init__(
            DiscordChat(app.token), place=f"{guild.id}/{self.general.id}/{self.root.id}"
        )

    @property
    def thread(self):
        return self.root.thread

    def seen(self):
        # The first message of a thread shows the one that it stands under.
        return [] if self.thread is None else self.ann.texts(self.thread)[1:]

    def pinged(self):
        return bool(self.ann.notified)


class GitLabRig(Rig):
    """GitLab's REST API; the thread is a merge request."""

    def __init__(self, gitlab: FakeGitLab) -> None:
        self.gitlab = gitlab
        self.ann, self.us = gitlab.person("ann"), gitlab.person("ona-bot", is_bot=True)
        project = gitlab.project("acme/api", {self.ann: DEVELOPER, self.us: DEVELOPER})
        self.request = self.ann.opens(project)
        self.client = GitLabClient(gitlab.url, self.us.token)
        super().__init__(GitLabForge(self.client, Marks(b"secret")), place=self.request.place)

    def seen(self):
        return [shown_by_gitlab(one.body) for one in self.request.by(self.us)]

    def pinged(self):
        return bool(self.ann.told)


@pytest.fixture
async def gitlab() -> AsyncIterator[GitLabRig]:
    async with FakeGitLab() as fake:
        rig = GitLabRig(fake)
        yield rig
        rig.client.close()


@pytest.fixture
async def discord() -> AsyncIterator[DiscordRig]:
    async with FakeDiscord(scale=0.01) as fake:
        with pointed_at(fake):
            rig = DiscordRig(fake)
            yield rig
            await rig.port.close()


@pytest.fixture
async def pushed() -> AsyncIterator[FakeRig]:
    """A surface behind a network."""
    async with ChatServer() as server:
        port = FakeChat(server.url)
        yield FakeRig(port, server)
        await port.close()


@pytest.fixture
async def slack() -> AsyncIterator[SlackRig]:
    async with FakeSlack() as slack, open_session() as session:
        yield SlackRig(slack, session)


class GitHubRig(Rig):
    """GitHub's REST API; the thread is a pull request."""

    def __init__(self, github: FakeGitHub, app: App, pull: Thread) -> None:
        super().__init__(GitHubForge(app, Marks(b"secret")), place=pull.place)
        self.github = github

    def seen(self):
        return [words.text for words in self.github.world.thread(self.place)]

    def pinged(self):
        return any(words.mentions for words in self.github.world.thread(self.place))


@pytest.fixture
async def github(github_emulator) -> AsyncIterator[GitHubRig]:
    async with FakeGitHub(github_emulator) as github:
        pull = await (await github.repository()).pull()
        app = App(app_id=str(github.app.id), private_key=github.private_key, api_url=github.url)
        yield GitHubRig(github, app, pull)
        app.close()


@pytest.fixture
async def chats(pushed, slack, discord) -> dict[str, Rig]:
    return {"fake": pushed, "slack": slack, "discord": discord, "terminal": Rig(TerminalChat())}


@pytest.fixture
async def forges(github, gitlab) -> dict[str, Rig]:
    return {"github": github, "gitlab": gitlab}


@pytest.fixture(params=["fake", "slack", "discord", "terminal", "github", "gitlab"])
async def rig(request, chats, forges) -> Rig:
    return {**chats, **forges}[request.param]


async def test_a_post_has_a_ref_and_is_shown(rig):
    ref = await rig.post()
    assert isinstance(ref, str)
    assert ref
    assert rig.seen() in (None, ["hello"])


PICTURE = Picture(
    data=b"\x89PNG\r\n\x1a\n" + bytes(range(256)), media_type="image/png", about='A "page" <b>'
)


async def test_words_with_a_picture_are_shown_everywhere(rig):
    content = Content(text="look", picture=PICTURE)
    assert await rig.port.post(rig.place, content, rig.mark, Deadline.after(10))
    seen = rig.seen()
    assert seen is None or [one.splitlines()[0] for one in seen] == ["look"]


async def test_slack_shows_the_picture_beside_the_words_once(slack):
    content = Content(text="look", picture=PICTURE)
    ref = await slack.port.post(slack.place, content, slack.mark, Deadline.after(10))
    (image,) = [one for one in slack.channel.find(ref).blocks if one["type"] == "image"]
    assert image["alt_text"] == PICTURE.about
    assert slack.slack.files[image["slack_file"]["id"]].data == PICTURE.data
    assert await slack.find(slack.mark) == ref


async def test_the_words_are_posted_where_slack_takes_no_picture(slack):
    slack.slack.installs()[0].scopes.discard("files:write")
    content = Content(text="look", picture=PICTURE)
    await slack.port.post(slack.place, content, slack.mark, Deadline.after(10))
    webp = Content(text="more", picture=replace(PICTURE, media_type="image/webp"))
    await slack.port.post(slack.place, webp, str(uuid.uuid4()), Deadline.after(10))
    assert slack.seen() == ["look", "more"]
    assert not slack.slack.files


async def test_discord_shows_the_picture_beside_the_words_once(discord):
    content = Content(text="look", picture=PICTURE)
    post = [
        await discord.port.post(discord.place, content, discord.mark, Deadline.after(10))
        for _ in range(2)
    ]
    assert post[0] == post[1]
    (shown,) = discord.ann.sees(discord.thread)[-1].attachments
    assert (shown.data, shown.name, shown.description) == (
        PICTURE.data,
        "picture.png",
        PICTURE.about,
    )
    await discord.edit(post[0], "look again")
    assert discord.ann.sees(discord.thread)[-1].attachments == [shown]


async def test_two_replies_have_two_refs(rig):
    first = await rig.post(mark=str(uuid.uuid4()))
    second = await rig.post(mark=str(uuid.uuid4()))
    assert first != second


async def test_a_post_can_be_told_from_none_by_its_mark(rig):
    match rig.port.limits.after_uncertain:
        case AfterUncertain.LOOK_UP:
            assert await rig.find(rig.mark) is None
            ref = await rig.post()
            assert await rig.find(rig.mark) == ref
            assert await rig.find(str(uuid.uuid4())) is None
        case AfterUncertain.POST_AGAIN:
            assert await rig.post() == await rig.post()
        case AfterUncertain.GIVE_UP:
            pass


async def test_an_edit_replaces_the_text_and_can_be_repeated(rig):
    ref = await rig.post("one")
    for _ in range(2):
        await rig.edit(ref, "two")
    assert rig.seen() in (None, ["two"])


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_is_escaped_shows_as_it_is(rig, text):
    prose = rig.port.escape(text, code=False)
    code = rig.port.escape(text, code=True)
    for escaped in (prose, code):
        assert len(text) / 2 <= len(escaped) <= 10 * len(text)
        assert escaped.count("\n") == text.count("\n")
    if rig.seen() is None:
        return
    await rig.post(prose)
    await rig.post(f"before\n```\n{code}\n```", mark=str(uuid.uuid4()))
    first, second = rig.seen()
    assert first.strip("\n") == text.strip("\n")
    # A fence in a block may be broken by spaces that have no width.
    assert text.strip("\n") in second.replace("\u200b", "")
    assert not rig.pinged()


MARKED = """\
# Head

Words **bold** and *thin*, ~~gone~~, `x < 1`.

- one
- two

7. seventh

> said

| a | b |
|---|---|
| 1 | 2 |

[docs](https://example.org/a?b=1&c=2) and https://plain.example.org
"""


def written_for(rig, text: str) -> str:
    return written(text, rig.port.dialect, partial(rig.port.escape, code=False))


async def test_markdown_is_shown_without_its_signs(rig):
    if rig.port.dialect is None:
        return
    await rig.post(written_for(rig, MARKED))
    (seen,) = rig.seen()
    words = ("Head", "bold", "thin", "gone", "x < 1", "one", "two", "seventh", "said", "docs")
    assert [word for word in words if word not in seen] == []
    assert [sign for sign in ("**", "~~", "# ", "](", "|--") if sign in seen] == []
    assert not rig.pinged()


@pytest.mark.parametrize("text", [*HOSTILE, "**@everyone** [<!here>](https://a.b) `@ann`"])
async def test_nothing_that_is_written_in_markdown_notifies_anybody(rig, text):
    if rig.port.dialect is None:
        return
    await rig.post(written_for(rig, text))
    assert not rig.pinged()


async def test_its_limits_can_be_kept(rig):
    limits = rig.port.limits
    assert limits.text_length_max >= TEXT_LENGTH_MIN
    assert all(rate.burst >= 1 and rate.per_second > 0 for rate in limits.rates.values())
    assert isinstance(rig.port.installation(rig.place), str)
    await rig.post("x" * limits.text_length_max)


async def test_nothing_is_sent_after_the_deadline(pushed):
    with pytest.raises((Unavailable, Uncertain)):
        await pushed.port.post(PLACE, Content(text="late"), pushed.mark, Deadline.after(-0.001))
    assert pushed.server.requests == []


async def test_a_slow_surface_is_left_at_the_deadline(pushed):
    pushed.server.behave("post", Bad(wait=asyncio.Event()))
    with pytest.raises(Uncertain):
        await pushed.port.post(PLACE, Content(text="slow"), pushed.mark, Deadline.after(0.05))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Bad(throttle_seconds=7), Throttled),
        (Bad(error=True), Uncertain),
        (Bad(drop=True), Uncertain),
        (Bad(drop_answer=True), Uncertain),
    ],
)
async def test_a_bad_answer_has_its_own_error(pushed, bad, error):
    pushed.server.behave("post", bad)
    with pytest.raises(error) as raised:
        await pushed.post()
    if error is Throttled:
        assert raised.value.retry_seconds == 7
    assert len(pushed.server.posts) == (1 if bad.drop_answer else 0)


async def test_a_thread_that_is_deleted_is_gone(pushed):
    ref = await pushed.post()
    pushed.server.gone.add(PLACE)
    with pytest.raises(Gone):
        await pushed.post()
    with pytest.raises(Gone):
        await pushed.port.edit(PLACE, ref, Content(text="x"), Deadline.after(10))


async def test_a_post_that_is_deleted_is_gone(pushed):
    with pytest.raises(Gone):
        await pushed.port.edit(PLACE, "404", Content(text="x"), Deadline.after(10))


async def test_what_can_never_be_posted_is_rejected(pushed):
    with pytest.raises(Rejected):
        await pushed.post("x" * (pushed.port.limits.text_length_max + 1))


async def test_a_surface_that_is_not_there_did_nothing():
    async with ChatServer() as server:
        port = FakeChat(server.url)
    with pytest.raises(Unavailable):
        await port.post(PLACE, Content(text="x"), "m", Deadline.after(10))
    await port.close()


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (SlackBad(throttle_seconds=7), Throttled),
        (SlackBad(status=503), Uncertain),
        (SlackBad(drop=True), Uncertain),
        (SlackBad(drop_answer=True), Uncertain),
        (SlackBad(answer_status=500), Uncertain),
        (SlackBad(wrong=b"<html>"), Uncertain),
        (SlackBad(refused="internal_error"), Uncertain),
        (SlackBad(refused="channel_not_found"), Gone),
        (SlackBad(refused="is_archived"), Gone),
        (SlackBad(refused="invalid_auth"), Unavailable),
        (SlackBad(refused="invalid_blocks"), Rejected),
    ],
)
async def test_what_slack_answers_has_its_own_error_and_is_never_tried_again_by_itself(
    slack, bad, error
):
    slack.slack.behave("chat.postMessage", bad)
    with pytest.raises(error) as raised:
        await slack.post()
    if error is Throttled:
        assert raised.value.retry_seconds == 7
    done = bad.drop_answer or bad.answer_status or bad.wrong
    assert len(slack.seen()) == (1 if done else 0)
    if done:
        assert await slack.find(slack.mark) is not None


async def test_slack_gets_nothing_after_the_deadline(slack):
    with pytest.raises(Unavailable):
        await slack.port.post(slack.place, Content(text="x"), "m", Deadline.after(-0.001))
    assert slack.seen() == []


async def test_slack_is_left_at_the_deadline(slack):
    slack.slack.behave("chat.postMessage", SlackBad(wait=asyncio.Event()))
    with pytest.raises(Uncertain):
        await slack.port.post(slack.place, Content(text="x"), "m", Deadline.after(0.05))


async def test_slack_that_can_not_be_reached_did_nothing(slack):
    async with open_session() as session:
        port = SlackChat(client("xoxb-1", session, api="http://127.0.0.1:1/api/"))
        with pytest.raises(Unavailable):
            await port.post(slack.place, Content(text="x"), "m", Deadline.after(10))


async def test_slack_finds_a_post_behind_many_others(slack):
    ref = await slack.post()
    for number in range(250):
        slack.ann.says(slack.channel, f"{number}", thread=slack.root)
    assert await slack.find(slack.mark) == ref


async def test_slack_takes_no_copy_of_its_mark_by_another_app_for_its_own(slack):
    ref = await slack.post()
    robot = slack.slack.person(slack.slack_team, "robot", is_bot=True, bot_id="B1")
    slack.channel.members.append(robot)
    copy = robot.says(slack.channel, "hello", thread=slack.root)
    copy.metadata = slack.channel.find(ref).metadata
    assert await slack.find(slack.mark) == ref
    slack.channel.find(ref).deleted = True
    assert await slack.find(slack.mark) is None


async def test_a_place_that_slack_does_not_have_is_rejected(slack):
    for place in ("", "T/C", "T//1", "a/b/c/d"):
        with pytest.raises(Rejected):
            await slack.port.post(place, Content(text="x"), "m", Deadline.after(10))


async def test_slack_shows_one_sign_of_ours_at_a_message(slack):
    ref = slack.root.ts
    for sign, shown_as in (
        (Sign.SEEN, ["eyes"]),
        (Sign.SEEN, ["eyes"]),
        (Sign.WAITING, ["raised_hand"]),
        (None, []),
        (None, []),
        (Sign.FAILED, ["x"]),
    ):
        await slack.port.react(slack.place, ref, sign, Deadline.after(10))
        assert list(slack.root.reactions) == shown_as
    # Eyes went with the hand, and the hand went: nothing else was there to take away.
    used = slack.slack.limits.used
    assert (used["reactions.add"], used["reactions.remove"]) == (3, 2)


async def test_slack_tells_who_is_to_be_notified_of_a_post_and_not_of_an_edit(slack):
    content = Content(text="done", notify=slack.ann.id)
    ref = await slack.port.post(slack.place, content, slack.mark, Deadline.after(10))
    assert [note.why for note in slack.ann.notifications] == ["mention"]
    await slack.port.edit(slack.place, ref, content, Deadline.after(10))
    assert len(slack.ann.notifications) == 1


async def test_a_hint_is_seen_by_one_person_with_its_buttons(slack):
    await slack.port.whisper(
        slack.place, slack.ann.id, "psst <!channel>", [Button(label="Go", says="go")]
    )
    (seen,) = slack.ann.sees(slack.channel, slack.root)[1:]
    assert (seen.ephemeral, seen.buttons) == (True, ("Go",))
    assert seen.text.startswith("psst <!channel>\n")
    assert not slack.pinged()
    slack.slack.behave("chat.postEphemeral", SlackBad(status=500))
    await slack.port.whisper(slack.place, slack.ann.id, "lost")


async def test_a_direct_hint_of_discord_begins_with_the_channel_that_it_is_about(discord):
    direct = discord.ann.direct(discord.app)
    await discord.port.whisper(discord.place, str(discord.ann.user.id), "psst *you*")
    assert discord.ann.sees(direct)[-1].text == rf"<#{discord.general.id}> psst \*you\*"
    await discord.port.whisper(f"@me/{direct.id}/", str(discord.ann.user.id), "psst")
    assert discord.ann.sees(direct)[-1].text == "psst"


async def test_a_hint_comes_directly_where_slack_lets_us_show_none(slack):
    us = slack.ann.team.install.user
    slack.ann.kicks(slack.channel, us)
    await slack.port.whisper(slack.place, slack.ann.id, "psst", [Button(label="Go", says="go")])
    (said,) = slack.ann.reads(slack.ann.direct(us))
    assert said.startswith("psst")


async def test_a_slack_thread_shows_a_phase_and_is_named_when_it_is_shown_first(slack):
    where = (slack.channel.id, slack.root.ts)
    # It is named when its session begins: before there is nothing to be named.
    await slack.port.retitle(slack.place, "early", Deadline.after(10))
    assert where not in slack.slack.sessions
    for phase, status in ((Phase.WORKING, "processing"), (Phase.WAITING, "suspended")):
        await slack.port.show_phase(slack.place, phase, "A fix", Deadline.after(10))
        assert slack.slack.sessions[where].status == status
    await slack.port.retitle(slack.place, "The fix", Deadline.after(10))
    await slack.port.show_phase(slack.place, Phase.IDLE, "A fix", Deadline.after(10))
    found = slack.slack.sessions[where]
    assert (found.status, found.title) == ("active", "The fix")


async def test_a_direct_message_in_slack_shows_no_phase(slack):
    place = f"{slack.place.partition('/')[0]}/D1/"
    await slack.port.show_phase(place, Phase.WORKING, "x", Deadline.after(10))
    await slack.port.retitle(place, "x", Deadline.after(10))
    assert slack.slack.web.requests == []


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (SlackBad(throttle_seconds=7), Throttled),
        (SlackBad(status=503), Uncertain),
        (SlackBad(refused="internal_error"), Uncertain),
        (SlackBad(refused="channel_not_found"), Gone),
        (SlackBad(refused="invalid_auth"), Unavailable),
        (SlackBad(refused="invalid_status"), Rejected),
    ],
)
async def test_what_slack_answers_to_a_phase_has_its_own_error(slack, bad, error):
    slack.slack.behave("agents.sessions.setStatus", bad)
    with pytest.raises(error):
        await slack.port.show_phase(slack.place, Phase.WORKING, "x", Deadline.after(10))


@pytest.mark.parametrize(
    ("code", "elsewhere"), [("feature_disabled", 0), ("missing_scope", 0), ("not_authorized", 1)]
)
async def test_a_workspace_or_a_channel_without_agent_sessions_is_asked_once(
    slack, code, elsewhere
):
    slack.slack.behave("agents.sessions.setStatus", SlackBad(refused=code))
    for _ in range(2):
        await slack.port.show_phase(slack.place, Phase.WORKING, "x", Deadline.after(10))
    await slack.port.retitle(slack.place, "x", Deadline.after(10))
    assert [name for name, _ in slack.slack.web.requests] == ["agents.sessions.setStatus"]
    other = slack.slack.channel(slack.slack_team, "other", slack.ann, slack.bot_user)
    root = slack.ann.says(other, "root")
    place = f"{slack.slack_team.id}/{other.id}/{root.ts}"
    await slack.port.show_phase(place, Phase.WORKING, "x", Deadline.after(10))
    assert len(slack.slack.web.requests) == 1 + elsewhere


MESSAGES = "POST /channels/{channel}/messages"


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (DiscordBad(status=503), Uncertain),
        (DiscordBad(drop=True), Uncertain),
        (DiscordBad(drop_answer=True), Uncertain),
        (DiscordBad(status_after=503), Uncertain),
        (DiscordBad(status=403, code=50001), Gone),
        (DiscordBad(status=400, code=50035), Rejected),
        (DiscordBad(status=401), Unavailable),
    ],
)
async def test_what_discord_answers_has_its_own_error_and_a_second_try_doubles_nothing(
    discord, bad, error
):
    await discord.post(mark="before")
    discord.fake.behave(MESSAGES, bad)
    with pytest.raises(error):
        await discord.post()
    ref = await discord.post()
    assert ref == await discord.post()
    assert len(discord.seen()) == 2


async def test_the_thread_begins_with_the_first_post_and_is_named_after_what_was_said(discord):
    assert discord.thread is None
    await discord.post()
    assert discord.thread.name == "root of all"
    assert len(discord.thread.name) <= THREAD_NAME_LENGTH_MAX


async def test_the_thread_is_named_after_the_session_where_that_has_a_title(discord):
    content = Content(text="hello", title="Fix the \u202etest")
    await discord.port.post(discord.place, content, discord.mark, Deadline.after(10))
    assert discord.thread.name == "Fix the test"


async def test_a_thread_of_ours_gets_another_name_and_no_call_when_it_has_it(discord):
    await discord.post()
    for _ in range(3):
        await discord.port.retitle(discord.place, "x" * 100, Deadline.after(10))
    assert discord.thread.name == "x" * 100
    renames = [
        body for name, body in discord.fake.rest.requests if name == "PATCH /channels/{channel}"
    ]
    assert renames == [{"name": "x" * 100}]


async def test_a_thread_of_somebody_else_an_archived_and_a_direct_one_keep_their_names(discord):
    theirs = discord.ann.opens_thread(discord.general, "plans")
    place = f"{discord.place.rpartition('/')[0]}/{theirs.id}"
    await discord.port.retitle(place, "mine", Deadline.after(10))
    assert theirs.name == "plans"
    await discord.post()
    discord.ann.archives(discord.thread)
    await discord.port.retitle(discord.place, "mine", Deadline.after(10))
    assert discord.thread.name == "root of all"
    await discord.port.retitle("@me/5/", "mine", Deadline.after(10))


async def test_a_third_name_within_ten_minutes_has_to_wait(discord):
    await discord.post()
    discord.fake.rates.scale = 1.0
    for name in ("one", "two"):
        await discord.port.retitle(discord.place, name, Deadline.after(10))
    with pytest.raises(Throttled) as raised:
        await discord.port.retitle(discord.place, "three", Deadline.after(10))
    assert 500 < raised.value.retry_seconds <= 600
    assert discord.thread.name == "two"
    rate = discord.port.limits.rates["title"]
    assert (rate.burst, 1 / rate.per_second >= 600) == (2, True)


async def test_two_first_posts_at_once_begin_one_thread(discord):
    await asyncio.gather(discord.post(mark="one"), discord.post(mark="two"))
    assert len(discord.seen()) == 2


async def test_discord_shows_one_sign_of_ours_at_a_message(discord):
    ref = str(discord.root.id)
    signs = ((Sign.SEEN, ["👀"]), (Sign.WAITING, ["✋"]), (None, []), (Sign.FAILED, ["❌"]))
    for sign, emoji in signs:
        await discord.port.react(discord.place, ref, sign, Deadline.after(10))
        assert list(discord.root.reactions) == emoji


async def test_discord_tells_who_is_to_be_notified_and_nobody_else(discord):
    content = Content(text=f"done @everyone <@{discord.ann.id}>", notify="")
    await discord.port.post(discord.place, content, "one", Deadline.after(10))
    assert discord.ann.notified == []
    content = Content(text="done", notify=str(discord.ann.id))
    await discord.port.post(discord.place, content, "two", Deadline.after(10))
    assert len(discord.ann.notified) == 1


async def test_an_archived_thread_is_opened_again_and_a_locked_one_is_gone(discord):
    await discord.post(mark="one")
    discord.ann.archives(discord.thread)
    await discord.post(mark="two")
    discord.ann.archives(discord.thread, locked=True)
    with pytest.raises(Gone):
        await discord.post(mark="three")


async def test_a_post_in_an_archived_thread_is_edited_and_in_a_locked_one_it_stays(discord):
    ref = await discord.post(mark="one")
    discord.ann.archives(discord.thread)
    await discord.port.edit(discord.place, ref, Content(text="two"), Deadline.after(10))
    assert discord.seen() == ["two"]
    discord.ann.archives(discord.thread, locked=True)
    with pytest.raises((Gone, Rejected)):
        await discord.port.edit(discord.place, ref, Content(text="three"), Deadline.after(10))
    assert discord.seen() == ["two"]


async def test_a_place_that_discord_does_not_have_is_rejected(discord):
    for place in ("", "1", "1/x/", "1/2/3/4", "@me//"):
        with pytest.raises(Rejected):
            await discord.port.post(place, Content(text="x"), "m", Deadline.after(10))


async def test_a_wrong_token_of_discord_did_nothing(discord):
    port = DiscordChat("wrong")
    with pytest.raises(Unavailable):
        await port.post(discord.place, Content(text="x"), "m", Deadline.after(10))
    await port.close()
    assert discord.seen() == []


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (GitLabBad(throttle_seconds=7), Throttled),
        (GitLabBad(status=503), Uncertain),
        (GitLabBad(drop=True), Uncertain),
        (GitLabBad(drop_answer=True), Uncertain),
        (GitLabBad(answer_status=502), Uncertain),
        (GitLabBad(wrong=b"<html>"), Uncertain),
        (GitLabBad(status=404), Gone),
        (GitLabBad(status=401), Unavailable),
        (GitLabBad(status=409), Unavailable),
        (GitLabBad(status=403), Rejected),
        (GitLabBad(status=422), Rejected),
    ],
)
async def test_what_gitlab_answers_has_its_own_error_and_is_never_tried_again_by_itself(
    gitlab, bad, error
):
    gitlab.gitlab.bad.behave("notes.create", bad)
    with pytest.raises(error) as raised:
        await gitlab.post()
    if error is Throttled:
        assert raised.value.retry_seconds == 7
    assert gitlab.gitlab.rest.asked("notes.create") == 1
    done = bool(bad.drop_answer or bad.answer_status or bad.wrong)
    assert len(gitlab.seen()) == done
    assert (await gitlab.find(gitlab.mark) is not None) == done


async def test_gitlab_gets_nothing_after_the_deadline(gitlab):
    with pytest.raises(Unavailable):
        await gitlab.port.post(gitlab.place, Content(text="x"), "m", Deadline.after(-0.001))
    assert gitlab.seen() == []


async def test_gitlab_is_left_at_the_deadline(gitlab):
    gitlab.gitlab.bad.behave("notes.create", GitLabBad(wait=asyncio.Event()))
    with pytest.raises(Uncertain):
        await gitlab.port.post(gitlab.place, Content(text="x"), "m", Deadline.after(0.2))


async def test_gitlab_that_can_not_be_reached_did_nothing(gitlab):
    client = GitLabClient("http://127.0.0.1:1", "token")
    with pytest.raises(Unavailable):
        await GitLabForge(client, Marks(b"secret")).post(
            gitlab.place, Content(text="x"), "m", Deadline.after(10)
        )
    client.close()


async def test_gitlab_finds_a_post_behind_many_others_and_no_copy_of_its_mark(gitlab):
    ref = await gitlab.post()
    (ours,) = gitlab.request.by(gitlab.us)
    for number in range(150):
        gitlab.ann.says(gitlab.request, f"{number}\n\n{ours.body}")
    assert await gitlab.find(gitlab.mark) == ref
    gitlab.ann.deletes(ours)
    assert await gitlab.find(gitlab.mark) is None


async def test_a_place_that_gitlab_does_not_have_is_rejected(gitlab):
    for place in ("", "acme/api", "api!1", "acme/api!0", "acme/api!1/x", "../x!1\n"):
        with pytest.raises(Rejected):
            await gitlab.port.post(place, Content(text="x"), "m", Deadline.after(10))


async def test_gitlab_shows_one_sign_of_ours_at_a_note(gitlab):
    note = gitlab.ann.says(gitlab.request, "/ona fix it")
    gitlab.ann.awards(note, "x")
    for sign, shown_as in (
        (Sign.SEEN, ["eyes"]),
        (Sign.SEEN, ["eyes"]),
        (Sign.WAITING, ["raised_hand"]),
        (None, []),
        (None, []),
        (Sign.FAILED, ["x"]),
        (Sign.REFUSED, ["confused"]),
    ):
        await gitlab.port.react(gitlab.place, str(note.id), sign, Deadline.after(10))
        assert note.awarded(gitlab.us) == shown_as
    assert note.awarded(gitlab.ann) == ["x"]


async def test_gitlab_tells_who_is_to_be_notified_of_a_post_and_not_of_an_edit(gitlab):
    content = Content(text="done", notify=gitlab.ann.username)
    ref = await gitlab.port.post(gitlab.place, content, gitlab.mark, Deadline.after(10))
    assert len(gitlab.ann.told) == 1
    await gitlab.port.edit(gitlab.place, ref, content, Deadline.after(10))
    quiet = await gitlab.post(mark=str(uuid.uuid4()))
    await gitlab.port.edit(gitlab.place, quiet, content, Deadline.after(10))
    assert len(gitlab.ann.told) == 1
    assert await gitlab.find(gitlab.mark) == ref
