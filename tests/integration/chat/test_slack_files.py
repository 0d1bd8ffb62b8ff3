"""Files beside messages of Slack reach the machine of the prompt."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from adapters.chat.slack import files as slack_files
from adapters.chat.slack.calls import open_session
from tests.integration.chat.slack_rig import Office, open_office
from tests.support.shift import Shift, until

SHOW = '!cat "$ONA_CONTEXT"; cat "${ONA_CONTEXT%/*}"/*.txt'
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
KEPT = "SELECT name, media_type, octet_length(data), why FROM attachment ORDER BY place"


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


async def kept(office: Office) -> list[tuple[str, str, int, str]]:
    return await office.town.rows(KEPT)


async def test_a_file_beside_the_prompt_and_one_in_its_thread_lie_in_the_machine(office, places):
    mention = office.bot.user.mention
    async with office.serving(), Shift(office.town, places, "w"):
        root = office.bo.uploads(office.general, "log.txt", b"line one\nline two\n")
        office.ann.uploads(office.general, "a.png", PNG, f"{mention} {SHOW}", thread=root)
        answer = await office.answered(root, "line two", "Done")
    assert "file log.txt: text/plain, 18 bytes: /" in answer.text
    assert "file a.png: image/png, 28 bytes: /" in answer.text
    assert "[file log.txt]" in answer.text


async def test_what_went_with_one_prompt_comes_again_only_with_its_retry(office, places):
    mention = office.bot.user.mention
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.ann.uploads(office.general, "a.txt", b"words", f"{mention} !exit 3")
        failed = await office.answered(asked, "Failed")
        office.ann.says(office.general, f"{mention} !echo next", thread=asked)
        await office.answered(asked, "next", "Done")
        assert len(await kept(office)) == 1
        office.bo.clicks(failed, "Retry")
        await until(office.town, "SELECT 1 FROM turn", lambda rows: len(rows) == 3)
    count = "SELECT count(*) FROM attachment GROUP BY delivery_id"
    assert await office.town.rows(count) == [(1,), (1,)]


async def test_the_retry_of_a_prompt_has_its_files(office, places):
    mention = office.bot.user.mention
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.ann.uploads(
            office.general, "a.txt", b"words", f"{mention} {SHOW}; test -e /nowhere"
        )
        failed = await office.answered(asked, "Failed", "words")
        office.bo.clicks(failed, "Retry")
        await until(
            office.town,
            "SELECT 1 FROM turn WHERE state = 'failed'",
            lambda rows: len(rows) == 2,
        )
    names = "SELECT name, data FROM attachment"
    assert await office.town.rows(names) == [("a.txt", b"words")] * 2


async def test_a_prompt_whose_project_is_chosen_later_keeps_its_files(office, places):
    await office.town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (gen_random_uuid(), 'web', '/srv/web', 'shell') RETURNING id"
    )
    async with office.serving(), Shift(office.town, places, "w"):
        asked = office.ann.uploads(
            office.general, "a.txt", b"\xc3\xbc words", f"{office.bot.user.mention} {SHOW}"
        )
        question = await office.answered(asked, "Which project")
        office.ann.clicks(question, "web")
        await office.answered(asked, "ü words", "Done")


async def test_files_that_are_not_taken_are_named_with_the_reason(office):
    mention = office.bot.user.mention
    async with office.serving():
        office.ann.uploads(office.general, "a.zip", b"PK\x03\x04\x00\x00", f"{mention} !echo one")
        await until(office.town, KEPT, bool)
        assert await kept(office) == [("a.zip", "", 0, "neither text nor an image")]


async def test_without_the_scope_the_page_to_sign_in_is_not_taken_for_the_file(office):
    office.bot.scopes.remove("files:read")
    async with office.serving():
        office.ann.uploads(
            office.general, "a.txt", b"words", f"{office.bot.user.mention} !echo one"
        )
        await until(office.town, KEPT, bool)
    assert await kept(office) == [("a.txt", "", 0, "Slack did not give it")]


async def test_a_message_is_heard_in_time_when_its_file_is_slow_to_come(office, monkeypatch):
    monkeypatch.setattr(slack_files, "FETCH_SECONDS", 0.0)
    async with office.serving():
        office.ann.uploads(
            office.general, "a.txt", b"words", f"{office.bot.user.mention} !echo one"
        )
        await office.heard()
    ((name, _, size, why),) = await kept(office)
    assert (name, size) == ("a.txt", 0)
    assert "in time" in why or "deadline" in why


async def test_nothing_is_fetched_of_what_is_not_for_us(office):
    guest = office.slack.person(office.team, "gil", is_restricted=True)
    office.general.members.append(guest)
    async with office.serving():
        office.ann.uploads(office.general, "a.txt", b"words", "look")
        guest.uploads(office.general, "b.txt", b"words", f"{office.bot.user.mention} !env")
        await office.heard()
    assert await kept(office) == []
    assert await office.town.value("SELECT count(*) FROM delivery") == 0


@pytest.fixture
async def elsewhere() -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A server that is not Slack's, and what it was asked."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(text="words")

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", asked
    await runner.cleanup()


@pytest.mark.parametrize(
    "address",
    [
        "{there}/a",
        "http://files.slack.com/a",
        "https://files.slack.com.evil.example/a",
        "https://evilslack.com/a",
        "https://files.slack.com@evil.example/a",
        "file:///etc/passwd",
        "",
    ],
)
async def test_our_token_is_shown_to_slack_alone(elsewhere, address):
    there, asked = elsewhere
    async with open_session() as session:
        assert isinstance(session, aiohttp.ClientSession)
        files = slack_files.Files(session, "xoxb-secret", api="https://slack.com/api/")
        file = {"name": "a", "size": 5, "url_private_download": address.format(there=there)}
        (one,) = await files.read(files.beside("k", {"files": [file]}))
    assert (one.data, one.why) == (b"", "it is not kept by Slack")
    assert asked == []
