"""A destination that no policy names: people are asked once, and what they allow is reached."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from adapters.forge.port import Permission
from bot.conversation.inbox import Inbox
from bot.conversation.message import Accepted
from bot.govern.rights import Rights
from bot.store.ids import new_id
from bot.work.destinations import ASKED, FULL, OPEN_MAX, AskingPeople
from bot.work.way_out import WaysOut
from tests.fakes.forge import KnowingForge
from tests.integration.conftest import DEMO, Town
from tests.integration.gateway.test_resolver import question, read
from tests.integration.gateway.test_rows import machine
from tests.support.gateway import (
    LOOPBACK,
    Heard,
    Zone,
    allow,
    deny,
    get,
    loopback_doors,
    serving,
    talk,
)
from vmpool.network.gateway import Gateway, Identity
from vmpool.network.gateway.rows import NameRows
from vmpool.network.policy import Policy

SECRET = "https://forge.test/acme/secret.git"
NOTICES = "SELECT body ->> 'text' FROM turn_event WHERE kind = 'notice' ORDER BY number"


@pytest.fixture
async def town(town: Town, forge: KnowingForge) -> Town:
    """A town whose project is on a forge; Ann may write to it, Bo administers it."""
    rights = Rights(town.database, {"forge": forge})
    town.inbox = Inbox(town.database, prompt_bytes_max=100_000, rights=rights)
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=SECRET)
    levels = {"Ann": Permission.WRITE, "Bo": Permission.ADMIN}
    for number, (name, level) in enumerate(levels.items()):
        await town.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :person, 'forge:forge.test', :number, :name) RETURNING id",
            id=new_id(),
            person=town.people[name],
            number=str(number),
            name=name,
        )
        forge.levels["acme/secret", str(number)] = level
    return town


@dataclass
class Site:
    """A machine of a session at its gateway, and a server of the internet's."""

    town: Town
    session: UUID
    ways: WaysOut
    proxy: int
    target: str
    machine: UUID
    resolver: int
    policy: Policy = field(default_factory=Policy)
    asks: bool = True

    async def get(self, host: str = "") -> str:
        """Ask for a host through the proxy, with nothing remembered."""
        self.ways.forget(self.machine)
        where = host or self.target
        return await get(self.proxy, f"http://{where}/", where)

    async def look_up(self, name: str) -> tuple[int, str | None]:
        """Ask the resolver."""
        self.ways.forget(self.machine)
        asked = question(name)
        answer = await talk(self.resolver, len(asked).to_bytes(2) + asked, read=4096)
        return read(answer[2:])

    async def notices(self) -> list[str]:
        return [row[0] for row in await self.town.rows(NOTICES)]

    async def destinations(self) -> list[tuple[str, bool]]:
        rows = await self.town.rows(
            "SELECT host, port, allowed_at IS NOT NULL FROM destination ORDER BY host, port"
        )
        return [(f"{host}:{port}", allowed) for host, port, allowed in rows]

    async def say(self, words: str, **more: str) -> Accepted:
        return await self.town.say(words, **more)


async def begin(town: Town) -> None:
    """Begin the turn of what was said."""
    queue = town.queue("w")
    lease = await queue.claim()
    assert lease is not None
    assert await queue.begin_turn(lease, None) is not None


@asynccontextmanager
async def site(town: Town, *, quiet_seconds: float = 0.0) -> AsyncIterator[Site]:
    session = await town.value("SELECT id FROM session")
    one = await machine(town, session=session)
    made: list[Site] = []

    async def policies(_project: UUID) -> Policy:
        return made[0].policy

    async def wanted(_project: UUID) -> bool:
        return made[0].asks

    ways = WaysOut(town.database, policies, wanted=wanted)
    asking = AskingPeople(town.database, wanted, quiet_seconds=quiet_seconds)
    zone, doors = Zone({"api.test": [LOOPBACK], "private.test": ["10.9.8.7"]}), loopback_doors()
    gateway = Gateway(
        access=ways.access,
        audit=lambda _: None,
        names=NameRows(town.database.session),
        resolve=zone,
        asks=asking,
    )
    async with serving(Heard().server()) as port:
        proxy = doors.streams()["proxy"].getsockname()[1]
        resolver = doors.streams()["dns_stream"].getsockname()[1]
        made.append(Site(town, session, ways, proxy, f"api.test:{port}", one, resolver))
        # What stands for the internet here has an address that has to be named.
        made[0].policy = Policy(rules=allow(f"{LOOPBACK}:{port}"))
        await gateway.attach(doors, Identity(machine=one))
        try:
            yield made[0]
        finally:
            await gateway.close()


async def test_people_are_asked_once_and_what_one_of_them_allows_is_reached(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        first, again = await at.get(), await at.get()
        assert first.startswith("HTTP/1.1 403")
        assert ASKED in first
        assert ASKED in again
        (asked,) = await at.notices()
        assert f"`allow {at.target}`" in asked
        assert await at.destinations() == [(at.target, False)]
        (button,) = await town.rows("SELECT body ->> 'allows' FROM turn_event WHERE kind='notice'")
        assert button == (f"allow {at.target}",)

        refused = await at.say(f"allow {at.target}", by="Ann")
        assert refused.refusal
        assert refused.refusal.code == "not_permitted"
        assert (await at.get()).startswith("HTTP/1.1 403")

        told = await at.say(button[0], by="Bo")
        assert (told.verdict, told.text.startswith("Bo lets")) == ("command", True)
        assert (await at.get()).endswith("hello")
        assert "already" in (await at.say(f"allow {at.target}", by="Bo")).text
    audited = await town.rows(
        "SELECT kind, who, place FROM audit_event WHERE kind LIKE 'destination%' ORDER BY number"
    )
    assert audited == [
        ("destination.asked", "Ann", at.target),
        ("destination.allowed", "Bo", at.target),
    ]
    assert len(await at.notices()) == 2
    assert await town.value("SELECT count(*) FROM prompt") == 1


async def test_nothing_is_allowed_that_nobody_was_asked_about(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        told = await at.say("allow other.test:443", by="Bo")
        assert told.verdict == "refused"
        assert await at.destinations() == []


async def test_what_a_line_denies_or_an_address_nobody_is_asked_about(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        at.policy = Policy(rules=deny("evil.test", "*.evil.test"))
        for host in (
            *("evil.test", "x.evil.test:8443", "8.8.8.8", "10.0.0.1", "169.254.169.254"),
            *("[fd00:ec2::254]", "0x08080808", "db", "localhost", "metadata.google.internal"),
        ):
            assert ASKED not in await at.get(host)
        assert await at.destinations() == []


async def test_a_denial_wins_over_what_was_allowed(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        await at.get()
        await at.say(f"allow {at.target}", by="Bo")
        assert (await at.get()).endswith("hello")
        at.policy = Policy(rules=(*at.policy.rules, *deny("*.test")))
        answer = await at.get()
        assert answer.startswith("HTTP/1.1 403")
        assert "denied" in answer


async def test_an_allowed_name_leads_to_no_private_address(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        await at.get("private.test")
        await at.say("allow private.test:80", by="Bo")
        answer = await at.get("private.test")
        assert answer.startswith("HTTP/1.1 403")
        assert "a private address" in answer


async def test_a_flood_of_names_asks_no_more_than_some(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town, quiet_seconds=600.0) as at:
        names = [f"n{number}.test" for number in range(3 * OPEN_MAX)]
        answers = await asyncio.gather(*(at.get(name) for name in names))
        assert sum(ASKED in one for one in answers) == OPEN_MAX
        assert sum(FULL in one for one in answers) == 2 * OPEN_MAX
        assert len(await at.notices()) == len(await at.destinations()) == OPEN_MAX


async def test_there_is_room_again_when_one_is_allowed(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        for number in range(OPEN_MAX):
            await at.get(f"n{number}.test")
        assert FULL in await at.get()
        await at.say("allow n0.test:80", by="Bo")
        assert ASKED in await at.get()


async def test_only_a_turn_of_a_person_that_may_write_asks(town: Town) -> None:
    await town.say("!work")
    async with site(town) as at:
        assert ASKED not in await at.get()  # no turn runs
        await town.rows("UPDATE prompt SET read_only = true RETURNING id")
        await begin(town)
        assert ASKED not in await at.get()
        await town.rows("UPDATE prompt SET read_only = false RETURNING id")
        await town.rows("UPDATE person SET is_service = true WHERE name = 'Ann' RETURNING id")
        assert ASKED not in await at.get()
        await town.rows("UPDATE person SET is_service = false RETURNING id")
        assert ASKED in await at.get()


async def test_a_template_and_a_machine_that_waits_ask_nobody(town: Town) -> None:
    async def wanted(_project: UUID) -> bool:
        return True

    asking = AskingPeople(town.database, wanted)
    builder = Identity(machine=new_id(), session=None, project=DEMO)
    assert await asking(builder, "api.test", 443) == ""


async def test_a_project_can_have_nobody_asked_and_then_nothing_more_is_allowed(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        await at.get()
        await at.say(f"allow {at.target}", by="Bo")
        at.asks = False
        assert ASKED not in await at.get("other.test")
        assert (await at.get()).startswith("HTTP/1.1 403")
        assert len(await at.destinations()) == 1


async def test_what_was_allowed_ends_with_its_session(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        await at.get()
        await at.say(f"allow {at.target}", by="Bo")
        await town.rows("UPDATE session SET state = 'deleting' RETURNING id")
        assert (await at.get()).startswith("HTTP/1.1 403")
    await town.rows("DELETE FROM machine RETURNING id")
    assert await at.destinations() == [(at.target, True)]
    await town.rows("DELETE FROM session RETURNING id")
    assert await at.destinations() == []


async def test_other_sessions_reach_nothing_more(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        await at.get()
        await at.say(f"allow {at.target}", by="Bo")
        await town.say("!more", place="other")
        other = await town.value("SELECT id FROM session WHERE id <> :id", id=at.session)
        theirs = await machine(town, session=other)
        rules = (await at.ways.access(Identity(machine=theirs))).policy.rules
        assert rules == at.policy.rules


async def test_a_name_that_only_the_resolver_hears_is_asked_about_too(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        assert await at.look_up("api.test") == (3, None)
        assert await at.destinations() == [("api.test:443", False)]
        await at.say("allow api.test:443", by="Bo")
        assert (await at.look_up("api.test"))[0] == 0


async def test_an_international_name_is_shown_as_it_is_resolved(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        await at.get("xn--pple-43d.test")
        (asked,) = await at.notices()
        assert "`allow xn--pple-43d.test:80`" in asked


async def test_what_a_name_is_made_of_does_nothing_to_the_words(town: Town) -> None:
    await town.say("!work")
    await begin(town)
    async with site(town) as at:
        for host in ("`x`.test", "<!channel>.test", "a\u202eb.test", "x.test`"):
            assert ASKED not in await at.get(host)
        assert await at.notices() == []
