"""A deleted session is gone with everything that is its own, in steps that a kill leaves whole."""

import asyncio
import re
from pathlib import Path
from uuid import UUID

import pytest

from adapters.vault.errors import Misasked, Unreachable
from bot.errors import NotFound, NothingToDo
from bot.govern.verifying import Verifier
from bot.store.blobs import DirectoryBlobs
from bot.store.database import Database
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.work import deleting
from bot.work.control import Actor
from bot.work.deleting import Deletions
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import Town
from tests.integration.govern.test_audit_chain import seal_all
from tests.support.shift import Shift, until

OF_A_SESSION = (
    "thread", "prompt", "delivery", "attachment", "turn", "turn_event", "question", "reply",
    "checkpoint", "machine", "session",
)  # fmt: skip


async def delete(town: Town, short: str) -> None:
    async with town.database.begin() as tx:
        session_id = await town.value("SELECT id FROM session WHERE short = :short", short=short)
        await deleting.delete(tx, session_id, Actor(id=town.people["Bo"], name="Bo"))


async def a_session(town: Town, *, place: str = "t") -> str:
    """One with a turn, a file, a reply and a checkpoint."""
    accepted = await town.say("!true", place=place)
    assert accepted.session is not None
    return accepted.session


async def a_machine(town: Town, short: str, state: str = "resting"):
    (row,) = await town.rows(
        "INSERT INTO machine (id, host_id, session_id, size, vcpus, memory_mib, disk_gib,"
        " image_digest, state, generation, created_at, used_at, changed_at) VALUES (:id, :host,"
        " (SELECT id FROM session WHERE short = :short), 'medium', 2, 1024, 16, 'd', :state, 1,"
        " now(), now(), now()) RETURNING id",
        id=new_id(),
        host=town.host_id,
        short=short,
        state=state,
    )
    return row[0]


async def a_checkpoint(town: Town, short: str, blob: str | None) -> None:
    await town.rows(
        "INSERT INTO checkpoint (id, session_id, base, head, tree, blob)"
        " VALUES (:id, (SELECT id FROM session WHERE short = :short), '', '', 't', :blob)"
        " RETURNING id",
        id=new_id(),
        short=short,
        blob=blob,
    )


async def a_blob(blobs: DirectoryBlobs) -> str:
    async def chunks():
        yield b"what was worked on"

    return (await blobs.put(new_id().hex, chunks())).key


async def left(town: Town) -> dict[str, int]:
    counts = {table: await town.value(f"SELECT count(*) FROM {table}") for table in OF_A_SESSION}
    return {table: count for table, count in counts.items() if count}


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "blobs")


async def test_everything_goes_when_the_machine_is_gone_and_a_tombstone_stays(
    town: Town, places: GuestWorkplaces, blobs: DirectoryBlobs
) -> None:
    short = await a_session(town)
    async with Shift(town, places, "w"):
        await until(town, "SELECT state FROM turn", lambda rows: rows == [("succeeded",)])
    machine = await a_machine(town, short)
    blob = await a_blob(blobs)
    await a_checkpoint(town, short, blob)
    deletions = Deletions(town.database, blobs)
    await delete(town, short)
    assert await deletions.go_on() == 0, "its machine is still there"
    assert await town.value("SELECT request FROM machine") == "destroy"
    assert await town.value("SELECT state FROM session") == "deleting"
    for state in ("removing", "gone"):
        await town.rows("UPDATE machine SET state = :s RETURNING id", s=state)
    assert await deletions.go_on() == 1
    assert await left(town) == {}
    assert [one.key async for one in blobs.list()] == []
    kept = await town.rows("SELECT short, name, by_id, finished_at IS NOT NULL FROM tombstone")
    assert kept == [(short, "Bo", town.people["Bo"], True)]
    assert await deletions.go_on() == 0
    assert machine is not None
    said = "SELECT who, place, person_id FROM audit_event WHERE kind = 'session.deleted'"
    assert await town.rows(said) == [("Bo", short, town.people["Bo"])]


async def test_turns_that_took_others_back_and_commits_that_are_followed_go_with_it(
    town: Town, places: GuestWorkplaces, blobs: DirectoryBlobs
) -> None:
    short = await a_session(town)
    for place in ("u", "v"):
        await town.say("!true", place=place, session=short)
    async with Shift(town, places, "w"):
        await until(town, "SELECT state FROM turn", lambda rows: rows == [("succeeded",)] * 3)
    turns = [id_ for (id_,) in await town.rows("SELECT id FROM turn ORDER BY started_at")]
    for turn, by in ((turns[0], turns[1]), (turns[2], turns[1])):
        await town.rows(
            "UPDATE turn SET undone_by = :by WHERE id = :id RETURNING id", id=turn, by=by
        )
    await town.rows(
        "INSERT INTO ci_watch (session_id, repository, ref, commit, turn_id)"
        " SELECT session_id, 'github:h/o/r', 'refs/heads/b', 'c', id FROM turn WHERE id = :id"
        " RETURNING ref",
        id=turns[0],
    )
    await delete(town, short)
    assert await Deletions(town.database, blobs).go_on() == 1
    assert await left(town) == {}
    assert await town.rows("SELECT 1 FROM ci_watch") == []


async def test_what_was_sealed_of_it_verifies_as_deleted(
    town: Town, places: GuestWorkplaces, blobs: DirectoryBlobs
) -> None:
    short = await a_session(town)
    async with Shift(town, places, "w"):
        await until(town, "SELECT state FROM turn", lambda rows: rows == [("succeeded",)])
    await seal_all(town.database)
    await delete(town, short)
    assert await Deletions(town.database, blobs).go_on() == 1
    found = await Verifier(town.database).look(after=None, seconds=60)
    assert found.problem == ""
    assert found.deleted > 0


async def test_a_vault_that_is_away_holds_it_up_and_its_entity_goes(
    town: Town, blobs: DirectoryBlobs
) -> None:
    short = await a_session(town)
    session_id = await town.value("SELECT id FROM session")
    forgotten, answers = [], [Unreachable("Vault did not answer"), Misasked("it is odd")]

    async def forget(session: UUID) -> None:
        forgotten.append(session)
        raise answers.pop(0)

    deletions = Deletions(town.database, blobs, forget)
    await delete(town, short)
    assert await deletions.go_on() == 0
    assert await town.value("SELECT state FROM session") == "deleting"
    assert await deletions.go_on() == 1
    assert forgotten == [session_id] * 2


async def test_a_blob_that_another_session_began_from_stays(
    town: Town, blobs: DirectoryBlobs
) -> None:
    first, second = await a_session(town), await a_session(town, place="other")
    blob = await a_blob(blobs)
    for short in (first, second):
        await a_checkpoint(town, short, blob)
    await town.rows(
        "UPDATE session SET parent_id = (SELECT id FROM session WHERE short = :first)"
        " WHERE short = :second RETURNING id",
        first=first,
        second=second,
    )
    deletions = Deletions(town.database, blobs)
    await delete(town, first)
    assert await deletions.go_on() == 1
    assert [one.key async for one in blobs.list()] == [blob]
    assert await town.rows("SELECT short, parent_id FROM session") == [(second, None)]
    await delete(town, second)
    assert await deletions.go_on() == 1
    assert [one.key async for one in blobs.list()] == []


async def test_its_turn_ends_and_nothing_of_it_is_stored_any_more(
    town: Town, places: GuestWorkplaces, blobs: DirectoryBlobs
) -> None:
    short = await a_session(town)
    await town.rows("UPDATE prompt SET state = state RETURNING id")
    asked = await town.say("!echo begun; sleep 600", place="long")
    async with Shift(town, places, "w") as shift:
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        assert asked.session is not None
        await delete(town, asked.session)
        await until(town, "SELECT 1", lambda _: shift.worker.busy == 0)
    assert await town.rows("SELECT 1 FROM turn_event WHERE body ->> 'outcome' = 'stopped'") == []
    assert await Deletions(town.database, blobs).go_on() == 1
    assert await town.rows("SELECT short FROM session") == [(short,)]


async def test_who_writes_to_it_later_is_told_and_can_open_another(town: Town) -> None:
    short = await a_session(town)
    await delete(town, short)
    for more in ({}, {"session": short, "place": "elsewhere"}):
        told = await town.say("!echo later", **more)
        assert (told.verdict, told.session) == ("refused", None)
        assert re.search(rf"session {short} was deleted by Bo on \d{{4}}-", told.text, re.I)
    opened = await town.say("new: !echo other")
    assert opened.verdict == "prompt"
    again = await town.say("!echo more")
    assert again.session == opened.session, "the thread has a session again"


async def test_it_is_deleted_once(town: Town, blobs: DirectoryBlobs) -> None:
    short = await a_session(town)
    await delete(town, short)
    with pytest.raises(NothingToDo):
        await delete(town, short)
    assert await town.queue("w").claim() is None
    await Deletions(town.database, blobs).go_on()
    async with town.database.begin() as tx:
        with pytest.raises(NotFound):
            await deleting.delete(tx, new_id(), Actor(id=town.people["Bo"], name="Bo"))


@pytest.mark.parametrize("step", ["drop_checkpoints", "drop_session", "finish"])
async def test_killed_at_any_step_the_next_chore_finishes(
    town: Town, blobs: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    short = await a_session(town)
    blob = await a_blob(blobs)
    await a_checkpoint(town, short, blob)
    await delete(town, short)
    execute = Transaction.execute

    async def killed(tx: Transaction, statement, *more):
        rows = await execute(tx, statement, *more)
        if statement is deleting.SQL[step]:
            raise KeyboardInterrupt
        return rows

    monkeypatch.setattr(Transaction, "execute", killed)
    with pytest.raises(KeyboardInterrupt):
        await Deletions(town.database, blobs).go_on()
    monkeypatch.undo()
    assert await town.value("SELECT state FROM session") == "deleting"
    assert [one.key async for one in blobs.list()] == [blob]
    assert await Deletions(town.database, blobs).go_on() == 1
    assert await left(town) == {}


async def test_two_hosts_at_it_finish_it_once(town: Town, blobs: DirectoryBlobs) -> None:
    for number in range(6):
        await delete(town, await a_session(town, place=f"t{number}"))
    other = Database(town.database.url, connections_max=4)
    done = await asyncio.gather(
        Deletions(town.database, blobs).go_on(), Deletions(other, blobs).go_on()
    )
    await other.close()
    assert sum(done) + await Deletions(town.database, blobs).go_on() == 6
    assert await left(town) == {}
