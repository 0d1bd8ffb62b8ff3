"""Names and policies of machines, from a real database."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text

from bot.store.database import Database
from bot.store.ids import new_id
from bot.work.way_out import WaysOut
from tests.integration.conftest import DEMO, Town
from tests.support.gateway import allow
from vmpool.network.gateway import Identity, Unreachable
from vmpool.network.gateway.rows import NameRows
from vmpool.network.policy import Policy

MACHINE = """
INSERT INTO machine (id, host_id, template_id, session_id, size, vcpus, memory_mib, disk_gib,
                     image_digest, state, generation, created_at, used_at, changed_at)
VALUES (:id, :host, :template, :session, 's', 1, 128, 1, 'x', 'running', 1, now(), now(), now())
"""
TEMPLATE = """
INSERT INTO template (id, host_id, project_id, size, vcpus, memory_mib, disk_gib, image_digest,
                      fingerprint, commit, state, generation, machine_id, created_at, changed_at)
VALUES (:id, :host, :project, 's', 1, 128, 1, 'x', 'f', '', 'ready', 1, :made_of, now(), now())
"""


async def machine(town: Town, *, template: UUID | None = None, session: UUID | None = None) -> UUID:
    made = new_id()
    values = {"id": made, "host": town.host_id, "template": template, "session": session}
    async with town.database.begin() as tx:
        await tx.execute(text(MACHINE), values)
    return made


async def template(town: Town, made_of: UUID) -> UUID:
    made = new_id()
    values = {"id": made, "host": town.host_id, "project": DEMO, "made_of": made_of}
    async with town.database.begin() as tx:
        await tx.execute(text(TEMPLATE), values)
    return made


async def test_names_are_numbered_for_each_machine_and_stay(town: Town) -> None:
    rows = NameRows(town.database.session)
    one, other = await machine(town), await machine(town)
    assert [await rows.add(one, name) for name in ("a.test", "b.test", "a.test")] == [0, 1, 0]
    assert await rows.add(other, "b.test") == 0
    again = NameRows(town.database.session)
    assert await again.known(one) == {"a.test": 0, "b.test": 1}
    with pytest.raises(KeyError):
        await again.add(new_id(), "a.test")


async def test_no_number_is_given_twice_at_the_same_time(town: Town) -> None:
    rows, one = NameRows(town.database.session), await machine(town)
    names = [f"n{number % 20}.test" for number in range(40)]
    numbers = await asyncio.gather(*(rows.add(one, name) for name in names))
    assert numbers[:20] == numbers[20:]
    assert sorted(numbers[:20]) == list(range(20))


async def test_a_clone_has_the_names_of_what_it_was_made_of(town: Town) -> None:
    rows, builder = NameRows(town.database.session), await machine(town)
    await rows.add(builder, "a.test")
    made = await template(town, builder)
    one, other = [await machine(town, template=made) for _ in range(2)]
    assert await rows.known(one) == {"a.test": 0}
    assert await rows.add(one, "b.test") == 1
    assert await rows.add(other, "c.test") == 1
    assert await rows.add(other, "a.test") == 0
    assert await rows.known(one) == {"a.test": 0, "b.test": 1}


async def test_a_machine_has_the_policy_of_its_project_and_is_its_sessions(town: Town) -> None:
    asked: list[UUID] = []

    async def policies(project: UUID) -> Policy:
        asked.append(project)
        return Policy(rules=allow("pkg.test"))

    accepted = await town.say("do it")
    session = await town.value("SELECT id FROM session")
    assert accepted
    ways = WaysOut(town.database, policies)
    working = await machine(town, session=session)
    builder = await machine(town)
    waiting = await machine(town, template=await template(town, builder))
    stray = await machine(town)
    for one, of in ((working, session), (waiting, None), (builder, None)):
        access = await ways.access(Identity(machine=one))
        assert access.who == Identity(machine=one, session=of, project=DEMO)
        assert access.policy.rules
    nobody = await ways.access(Identity(machine=stray))
    assert (nobody.who, nobody.policy) == (None, Policy())
    assert asked == [DEMO] * 3


async def test_while_the_database_is_away_what_is_known_goes_on(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/none", connections_max=1)
    known = await machine(town, template=await template(town, await machine(town)))
    ways = WaysOut(town.database)
    before = await ways.access(Identity(machine=known))
    ways._database = away
    monkeypatch.setattr("bot.work.way_out.REMEMBERED_SECONDS", 0.0)
    try:
        assert await ways.access(Identity(machine=known)) == before
        with pytest.raises(Unreachable):
            await ways.access(Identity(machine=new_id()))
    finally:
        await away.close()
