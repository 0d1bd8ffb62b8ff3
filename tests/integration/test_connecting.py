"""One person, many accounts: by codes, by a forge with a code to type, by a forge in a browser."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest

from adapters.chat.incoming import Author, Said, Spot
from adapters.chat.port import Deadline, Rejected, Uncertain
from adapters.forge.accounts import Account, Accounts, Waiting, github, gitlab
from bot.conversation.hearing import Chats
from bot.errors import NotFound, Refused, TryAgain
from bot.govern import connecting as module
from bot.govern import credentials, defaults
from bot.govern.connecting import Connecting, merge, new_code
from bot.govern.offers import Offer
from bot.govern.people import deactivate, ensure_person, standing_of
from bot.store.ids import new_id
from tests.fakes.oauth import oauth
from tests.integration.chat.conftest import WhisperingChat


@asynccontextmanager
async def asking(*, is_github=True, secret="s3cret"):
    async with oauth(github=is_github) as fake, aiohttp.ClientSession() as session:
        at = github(fake.url, fake.url) if is_github else gitlab(fake.url)
        yield fake, Accounts(at, session, client_id="app", client_secret=secret)


@pytest.fixture(params=[True, False], ids=["github", "gitlab"])
async def forge(request):
    async with asking(is_github=request.param) as both:
        yield both


def soon():
    return Deadline.after(5)


async def test_a_typed_code_tells_whose_account_it_is(forge):
    fake, accounts = forge
    device = await accounts.begin(soon())
    with pytest.raises(Waiting) as waiting:
        await accounts.poll(device, soon())
    assert not waiting.value.slower
    fake.slow = 1
    with pytest.raises(Waiting) as waiting:
        await accounts.poll(device, soon())
    assert waiting.value.slower
    fake.types(device.code, 2)
    assert await accounts.poll(device, soon()) == Account(id="2", name="bo")
    with pytest.raises(Rejected, match="invalid_grant"):
        await accounts.poll(device, soon())


async def test_a_token_that_ends_is_refreshed_and_each_refresh_works_once(forge):
    fake, accounts = forge
    fake.token_seconds = 60
    device = await accounts.begin(soon())
    fake.types(device.code, 1)
    token = (await accounts.poll(device, soon())).token
    assert token.seconds == 60
    another = await accounts.refresh(token.refresh, soon())
    assert another.access != token.access
    with pytest.raises(Rejected, match="bad_refresh_token"):
        await accounts.refresh(token.refresh, soon())


async def test_who_declines_is_rejected(forge):
    fake, accounts = forge
    device = await accounts.begin(soon())
    fake.declines(device.code)
    with pytest.raises(Rejected, match="access_denied"):
        await accounts.poll(device, soon())


async def test_a_browser_tells_whose_account_it_is_once(forge):
    fake, accounts = forge
    came = fake.agrees(accounts.authorize_url("st", "http://here/back"), 1)
    code = came.partition("code=")[2].partition("&")[0]
    with pytest.raises(Rejected):
        await accounts.account_of(code, "http://elsewhere/back", soon())
    assert await accounts.account_of(code, "http://here/back", soon()) == Account(
        id="1", name="ann"
    )
    with pytest.raises(Rejected):
        await accounts.account_of(code, "http://here/back", soon())


async def test_a_forge_that_answers_nonsense_is_uncertain(forge):
    fake, accounts = forge
    fake.broken = True
    with pytest.raises(Uncertain):
        await accounts.begin(soon())


async def identity(town, name, surface, external="1"):
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :person, :surface, :external, :name) RETURNING id",
        id=new_id(),
        person=town.people[name],
        surface=surface,
        external=external,
        name=name.lower(),
    )


async def test_everything_of_the_other_person_comes_along(town):
    await identity(town, "Ann", "slack:T")
    await identity(town, "Bo", "discord:G")
    await town.say("!one", by="Ann", place="a")
    await town.say("!two", by="Bo", place="b")
    async with town.database.begin() as tx:
        await merge(tx, keep=town.people["Ann"], gone=town.people["Bo"])
        await merge(tx, keep=town.people["Ann"], gone=town.people["Ann"])
    assert await town.rows("SELECT DISTINCT author_id FROM prompt") == [(town.people["Ann"],)]
    assert await town.rows("SELECT DISTINCT creator_id FROM session") == [(town.people["Ann"],)]
    assert (
        await town.value("SELECT count(*) FROM identity WHERE person_id = :p", p=town.people["Ann"])
        == 2
    )
    assert await town.value("SELECT count(*) FROM person WHERE id = :p", p=town.people["Bo"]) == 0


@pytest.mark.parametrize(("own", "kept"), [(None, "large"), ("small", "small")])
async def test_the_model_of_new_sessions_is_kept_of_whoever_chose_one(town, own, kept):
    offers = {name: Offer(provider="a", agent="one", model=name) for name in ("large", "small")}
    ann, bo = town.people["Ann"], town.people["Bo"]
    async with town.database.begin() as tx:
        await defaults.choose(tx, ann, offers.get(own))
        await defaults.choose(tx, bo, offers["large"])
        await merge(tx, keep=ann, gone=bo)
        assert await defaults.chosen(tx, ann, list(offers.values())) == offers[kept]


async def test_every_column_that_names_a_person_follows(town):
    columns = {
        (table, column)
        for table, column in await town.rows(
            "SELECT conrelid::regclass::text, attname FROM pg_constraint"
            " JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY(conkey)"
            " WHERE contype = 'f' AND confrelid = 'person'::regclass"
        )
    }
    said = " ".join(str(statement) for statement in module._MERGE)
    assert len(columns) >= 8
    for table, column in columns:
        assert f'UPDATE "{table.strip(chr(34))}" SET {column} =' in said


async def test_nobody_gets_out_of_being_deactivated_by_another_account(town):
    async with town.database.begin() as tx:
        await deactivate(tx, town.people["Bo"])
    for keep, gone in (("Ann", "Bo"), ("Bo", "Ann")):
        with pytest.raises(Refused, match="deactivated"):
            async with town.database.begin() as tx:
                await merge(tx, keep=town.people[keep], gone=town.people[gone])


async def test_a_code_holds_once_and_for_ten_minutes(town):
    known = Connecting(town.database, {})
    code = await known.code_for(town.people["Ann"])
    assert await known.use_code(town.people["Bo"], code.lower()) == "Ann"
    with pytest.raises(Refused, match="used already or is too old"):
        await known.use_code(town.people["Ann"], code)
    old = await known.code_for(town.people["Ann"])
    await town.rows("UPDATE credential SET expires_at = now() RETURNING digest")
    with pytest.raises(Refused):
        await known.use_code(town.people["Ann"], old)
    with pytest.raises(Refused):
        await known.use_code(town.people["Ann"], new_code())


async def test_a_code_used_twice_at_once_connects_one(town):
    async with town.database.begin() as tx:
        third = await ensure_person(tx, surface="slack:T", external_id="U3", name="Cy")
    known = Connecting(town.database, {})
    code = await known.code_for(town.people["Ann"])
    used = await asyncio.gather(
        known.use_code(town.people["Bo"], code),
        known.use_code(third.person_id, code),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in used) == ["Refused", "str"]


@pytest.fixture
async def chat(town):
    """A chat with direct messages, and a forge that can be asked."""
    async with asking() as (fake, accounts):
        port = WhisperingChat()
        known = Connecting(town.database, {"github": accounts})
        chats = Chats(town.database, town.inbox, {"fake": port}, mention="ona", connecting=known)
        yield fake, port, chats
        await known.aclose()
        await port.close()


def message(words, *, by="U1", account="T", direct=True):
    spot = Spot(surface="fake", channel=f"{account}/D", place=f"{account}/D/1", direct=direct)
    return Said(
        spot=spot,
        author=Author(account=account, id=by, name=f"Person {by}"),
        delivery=str(new_id()),
        key=str(new_id()),
        ref="1",
        text=words,
        to_us=True,
    )


def code_in(whispered):
    return whispered.partition("connect ")[2].partition("`")[0]


async def test_in_a_chat_a_code_goes_from_one_direct_message_to_another(town, chat):
    _, port, chats = chat
    await chats.hear(message("connect"))
    ((_, told, _),) = port.whispers
    await chats.hear(message(f"connect {code_in(told)}", by="U9", account="OTHER"))
    assert port.whispers[1][1].startswith("Done: here you are Person U1 now")
    people = await town.rows("SELECT DISTINCT person_id FROM identity WHERE surface LIKE 'fake:%'")
    assert len(people) == 1
    kept = await town.rows("SELECT text, answer ->> 'text' FROM delivery")
    assert kept == [("", ""), ("", "")]


async def test_where_others_read_along_no_code_is_given_or_taken(town, chat):
    _, port, chats = chat
    await chats.hear(message("connect", direct=False))
    await chats.hear(message("connect"))
    code = code_in(port.whispers[1][1])
    await chats.hear(message(f"connect {code}", by="U9", direct=False))
    assert [told for _, told, _ in port.whispers][::2] == [port.whispers[0][1]] * 2
    assert "direct message" in port.whispers[0][1]
    assert await town.value("SELECT count(*) FROM credential WHERE used_at IS NOT NULL") == 0
    await chats.hear(message(f"connect {code}", by="U9"))
    assert "used already or is too old" in port.whispers[-1][1], "others have read it"
    people = await town.rows("SELECT DISTINCT person_id FROM identity WHERE surface LIKE 'fake:%'")
    assert len(people) == 2


async def test_answered_once_a_code_is_given_once_however_often_it_is_asked_for(town, chat):
    _, port, chats = chat
    asked = message("connect")
    await chats.hear(asked)
    await chats.hear(asked)
    assert len(port.whispers) == 1


async def test_a_forge_account_is_connected_by_typing_its_code(town, chat):
    fake, port, chats = chat
    await chats.hear(message("connect github"))
    (typed,) = fake.user_codes
    assert typed in port.whispers[0][1]
    fake.types(typed, 2)
    async with asyncio.timeout(100):
        while len(port.whispers) < 2:
            await asyncio.sleep(0.02)
    assert "bo on github is your account" in port.whispers[1][1]
    found = await town.rows("SELECT external_id, name FROM identity WHERE surface LIKE 'github:%'")
    assert found == [("2", "bo")]


async def test_a_forge_account_that_prompted_before_brings_its_person_along(town, chat):
    _, _, chats = chat
    known = chats._connecting._connecting
    host = known.accounts["github"].host
    async with town.database.begin() as tx:
        before = await ensure_person(tx, surface=f"github:{host}", external_id="2", name="bo")
    await known.attach(town.people["Ann"], "github", Account(id="2", name="bo"))
    async with town.database.begin() as tx:
        with pytest.raises(NotFound):
            await standing_of(tx, before.person_id)
    await known.attach(town.people["Ann"], "github", Account(id="2", name="bo"))
    assert (
        await town.value("SELECT person_id FROM identity WHERE external_id = '2'")
        == town.people["Ann"]
    )


async def test_a_forge_that_is_not_set_up_or_away_says_so(town, chat):
    fake, port, chats = chat
    await chats.hear(message("connect gitlab"))
    assert "can't be asked here" in port.whispers[0][1]
    fake.broken = True
    await chats.hear(message("connect github"))
    assert "gave no code" in port.whispers[1][1]


async def test_no_more_people_type_codes_at_once_than_may(town, chat, monkeypatch):
    _, _, chats = chat
    monkeypatch.setattr(module, "DEVICES_MAX", 2)
    known = chats._connecting._connecting

    async def then(_):
        return None

    for _ in range(2):
        await known.begin("github", then)
    with pytest.raises(TryAgain):
        await known.begin("github", then)


async def test_words_that_only_begin_so_are_a_prompt(town, chat):
    _, port, chats = chat
    await chats.hear(message("connect postgres to the app"))
    await chats.hear(message("connect postgres"))
    assert await town.value("SELECT count(*) FROM delivery WHERE prompt_id IS NOT NULL") == 2
    assert port.whispers == []


async def test_where_there_are_pages_the_direct_message_has_a_link_that_signs_in_once(town, chat):
    _, port, _ = chat
    known = Connecting(town.database, {})
    chats = Chats(
        town.database,
        town.inbox,
        {"fake": port},
        mention="ona",
        connecting=known,
        public_url="https://ona.test/",
    )
    await chats.hear(message("connect"))
    secret = port.whispers[0][1].partition("https://ona.test/sign-in?link=")[2]
    async with town.database.begin() as tx:
        person_id = await credentials.use_link(tx, secret)
        assert (await standing_of(tx, person_id)).name == "Person U1"
    with pytest.raises(Refused):
        async with town.database.begin() as tx:
            await credentials.use_link(tx, secret)
    await chats.hear(message("connect", direct=False))
    assert "link" not in port.whispers[1][1]
