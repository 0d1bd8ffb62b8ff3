"""The chain over the audit: what was sealed can't be changed, removed or added to unnoticed."""

import json
from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from bot.errors import NotFound
from bot.govern.audit import Audited, Source, record
from bot.govern.sealing import ROWS_MAX, Sealer, expire
from bot.govern.verifying import Head, Verifier, check_head, head, unsealed
from bot.store.database import Database
from bot.work.queue import Event, append_events

ANN = Source(who="Ann", surface="web")


def happened(kind="token.made", **more):
    return Audited(kind=kind, by=ANN, **more)


async def note(database, *events):
    async with database.begin() as tx:
        await record(tx, *events)


async def undone(database):
    """An event of a transaction that fails."""
    with suppress(RuntimeError):
        async with database.begin() as tx:
            await record(tx, happened())
            raise RuntimeError


async def seal(database, sealer):
    """Seal everything that is final, as the clock does."""
    more = True
    while more:
        async with database.begin() as tx:
            more = await sealer.seal(tx, await sealer.final(tx))


async def seal_all(database):
    """Seal everything, waiting while PostgreSQL works by itself, as for its statistics."""
    sealer, more = Sealer(), True
    while more:
        async with database.begin() as tx:
            if (final := await sealer.final(tx)) is not None:
                more = await sealer.seal(tx, final)


async def seal_until(database, sealer, batches):
    """Seal in rounds until these are the batches."""
    while await sealed_in(database) != batches:
        await seal(database, sealer)


async def verify(database, after=None):
    return await Verifier(database).look(after=after, seconds=60)


async def forge(database, statement, **values):
    """What somebody who owns the database can do."""
    async with database.begin() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(text(statement), values)


async def numbers(database):
    async with database.begin() as tx:
        return list((await tx.execute(text("SELECT number FROM audit_event ORDER BY 1"))).scalars())


async def sealed_in(database):
    """The numbers that each batch has sealed."""
    async with database.begin() as tx:
        rows = await tx.execute(
            text("SELECT entries FROM audit_part WHERE session_id IS NULL ORDER BY batch")
        )
        return [
            [int.from_bytes(row.entries[at : at + 8]) for at in range(0, len(row.entries), 40)]
            for row in rows
        ]


@pytest.mark.parametrize("statement", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
@pytest.mark.parametrize(
    ("table", "column"),
    [("audit_event", "who"), ("audit_batch", "digest"), ("audit_part", "first")],
)
async def test_the_database_refuses_to_change_the_audit(database, statement, table, column):
    await note(database, happened())
    await seal_all(database)
    said = statement.format(table, f"{column} = {column}")
    with pytest.raises(psycopg.errors.RestrictViolation, match="never changed or deleted"):
        async with database.begin() as tx:
            await tx.execute(text(said))
    assert await numbers(database) == [1]


async def test_what_is_undone_is_not_in_the_audit(database):
    await undone(database)
    await note(database, happened())
    assert await numbers(database) == [2], "with a gap where the first one would have been"
    await seal_all(database)
    assert (await verify(database)).problem == ""


async def test_batches_chain_up_and_verify(database):
    for round_ in range(3):
        await note(database, *(happened(body={"round": round_, "n": n}) for n in range(4)))
        await seal_all(database)
    found = await verify(database)
    assert (found.through, found.batches, found.rows, found.done) == (3, 3, 12, True)
    assert (found.problem, found.deleted) == ("", 0)
    async with database.begin() as tx:
        assert await head(tx) == Head(number=3, digest=found.digest)
        assert await unsealed(tx) == 0


async def test_verifying_goes_on_where_it_stopped(database):
    for _ in range(3):
        await note(database, happened())
        await seal_all(database)
    whole = await verify(database)
    first = await Verifier(database).look(after=None, seconds=0)
    assert (first.through, first.done) == (1, False)
    rest = await verify(database, after=first.through)
    assert (rest.batches, rest.through, rest.digest, rest.done) == (2, 3, whole.digest, True)
    with pytest.raises(NotFound):
        await verify(database, after=9)


FORGED = [
    ("UPDATE audit_event SET who = 'Bo' WHERE number = 2", "audit event 2 was changed"),
    ("UPDATE audit_event SET body = '{\"n\": 7}' WHERE number = 3", "audit event 3 was changed"),
    ("UPDATE audit_event SET at = at + interval '1 s' WHERE number = 1", "event 1 was changed"),
    ("DELETE FROM audit_event WHERE number = 2", "audit event 2 was removed"),
    ("DELETE FROM audit_event WHERE number = 6", "audit event 6 was removed"),
    ("DELETE FROM audit_event", "audit event 1 was removed"),
    ("INSERT INTO audit_event (number, kind) VALUES (4, 'x')", "audit event 4 was inserted"),
    ("INSERT INTO audit_event (number, kind) VALUES (-4, 'x')", "audit event -4 was inserted"),
    ("DELETE FROM audit_batch WHERE number = 1", "batch 1 was removed"),
    ("DELETE FROM audit_part WHERE batch = 1", "batch 1 itself was changed"),
    ("UPDATE audit_part SET last = last + 1", "batch 1 itself was changed"),
    ("UPDATE audit_batch SET digest = repeat('a', 64) WHERE number = 1", "batch 1 itself"),
    (
        "UPDATE audit_batch SET previous = repeat('a', 64) WHERE number = 2",
        "batch 2 does not follow",
    ),
]


@pytest.mark.parametrize(("statement", "problem"), FORGED)
async def test_the_first_row_that_is_not_as_it_was_is_named(database, statement, problem):
    await note(database, *(happened(body={"n": n}) for n in range(3)))
    await undone(database)
    await seal_all(database)
    await note(database, happened(), happened())
    await seal_all(database)
    assert await numbers(database) == [1, 2, 3, 5, 6]
    assert (await verify(database)).problem == ""
    await forge(database, statement)
    assert problem in (await verify(database)).problem


async def test_a_chain_that_was_made_anew_differs_from_a_head_kept_elsewhere(database):
    await note(database, happened(body={"n": 1}))
    await seal_all(database)
    async with database.begin() as tx:
        kept = await head(tx)
    await forge(database, "DELETE FROM audit_part")
    await forge(database, "DELETE FROM audit_batch")
    await forge(database, "UPDATE audit_event SET who = 'Bo'")
    await seal_all(database)
    assert (await verify(database)).problem == "", "in itself it is sound"
    async with database.begin() as tx:
        assert "another digest" in await check_head(tx, kept)
        assert await check_head(tx, await head(tx)) == ""
        assert "no batch 5" in await check_head(tx, Head(number=5, digest=kept.digest))


async def test_a_late_commit_is_sealed_after_what_was_committed_before_it(database, database_url):
    """Its number is lower than one that was committed, so nothing is sealed before it is over."""
    other = Database(database_url, connections_max=2)
    sealer = Sealer()
    async with other.begin() as late:
        await record(late, happened("late"))
        await note(database, happened("early"))
        for _ in range(3):
            await seal(database, sealer)
        assert await sealed_in(database) == []
    await note(database, happened("after"))
    while [number for batch in await sealed_in(database) for number in batch] != [1, 2, 3]:
        await seal(database, sealer)
    assert (await verify(database)).problem == ""
    await other.close()


async def test_what_never_ends_does_not_keep_the_rest_from_being_sealed_for_ever(
    database, database_url
):
    """Others begin all the time: each round waits only for those that were there at its mark."""
    other, sealer = Database(database_url, connections_max=4), Sealer()
    first, second = other.begin(), other.begin()
    one = await first.__aenter__()
    await record(one, happened("first"))
    await note(database, happened("mine"))
    await seal(database, sealer)
    two = await second.__aenter__()
    await record(two, happened("second"))
    await first.__aexit__(None, None, None)
    await seal_until(database, sealer, [[1, 2]])
    await second.__aexit__(None, None, None)
    await seal_until(database, sealer, [[1, 2], [3]])
    await other.close()


async def test_more_than_a_batch_holds_goes_into_several(database):
    await note(database, *(happened() for _ in range(ROWS_MAX + 3)))
    await seal_all(database)
    assert [len(batch) for batch in await sealed_in(database)] == [ROWS_MAX, 3]
    assert (await verify(database)).rows == ROWS_MAX + 3


async def test_the_oldest_batches_go_and_the_rest_still_verifies(database):
    for n in range(4):
        await note(database, happened(body={"n": n}))
        await seal_all(database)
    async with database.begin() as tx:
        assert await expire(tx, days=1) == 0
    await forge(
        database, "UPDATE audit_batch SET sealed_at = now() - interval '9 d' WHERE number < 3"
    )
    async with database.begin() as tx:
        assert await expire(tx, days=7) == 2
        assert await expire(tx, days=7) == 0
    assert await numbers(database) == [3, 4, 5]
    await seal_all(database)
    found = await verify(database)
    assert (found.problem, found.batches, found.through) == ("", 3, 5)
    async with database.begin() as tx:
        removed = await tx.scalar(text("SELECT body FROM audit_event WHERE number = 5"))
        assert (removed["through"], removed["events"]) == (2, 2)
        assert await check_head(tx, Head(number=2, digest=removed["digest"])) == ""
        with pytest.raises(NotFound, match="removed"):
            await check_head(tx, Head(number=1, digest="0"))
    await forge(database, "INSERT INTO audit_event (number, kind) VALUES (1, 'x')")
    assert (await verify(database)).problem == "audit event 1 was inserted"


@pytest.mark.parametrize("wrong", ["- interval '30 years'", "+ interval '30 years'"])
async def test_a_clock_that_stood_wrong_for_one_batch_removes_no_younger_ones(database, wrong):
    for n in range(4):
        await note(database, happened(body={"n": n}))
        await seal_all(database)
    await forge(
        database, "UPDATE audit_batch SET sealed_at = now() - interval '9 d' WHERE number = 1"
    )
    await forge(database, f"UPDATE audit_batch SET sealed_at = now() {wrong} WHERE number = 3")
    async with database.begin() as tx:
        assert await expire(tx, days=7) == 1
    assert await numbers(database) == [2, 3, 4, 5]
    await forge(
        database, "UPDATE audit_batch SET sealed_at = now() - interval '9 d' WHERE number IN (2, 4)"
    )
    async with database.begin() as tx:
        assert await expire(tx, days=7) == 3, "the time passes for the others"


async def session_of(town, words="!echo hi"):
    return (await town.say(words)).session_id


async def test_the_events_of_sessions_are_sealed_where_they_are(town):
    session_id = await session_of(town)
    await seal_all(town.database)
    async with town.database.begin() as tx:
        await append_events(tx, session_id, [Event(kind="notice", body={"text": "é", "n": 1.5})])
    await seal_all(town.database)
    found = await verify(town.database)
    assert (found.batches, found.problem) == (2, "")
    assert found.rows == await town.value("SELECT count(*) FROM turn_event")
    short = await town.value("SELECT short FROM session")
    for statement, what in [
        ('UPDATE turn_event SET body = body || \'{"text": "e"}\' WHERE number = :n', "changed"),
        ("DELETE FROM turn_event WHERE number = :n", "removed"),
    ]:
        last = await town.value("SELECT max(number) FROM turn_event")
        await forge(town.database, statement, n=last)
        assert (await verify(town.database)).problem.startswith(
            f"event {last} of session {short} was {what}"
        )


async def test_an_event_that_was_put_before_the_first_is_found(town):
    session_id = await session_of(town)
    await seal_all(town.database)
    await forge(
        town.database,
        "INSERT INTO turn_event (session_id, number, kind) VALUES (:session, 0, 'text')",
        session=session_id,
    )
    assert "event 0 of session" in (await verify(town.database)).problem


async def test_a_session_that_was_deleted_leaves_its_digests_and_who_did_it(town):
    session_id = await session_of(town)
    await seal_all(town.database)
    events = await town.value("SELECT count(*) FROM turn_event")
    await town.rows("DELETE FROM prompt")
    await town.rows("DELETE FROM session")
    assert "does not say by whom" in (await verify(town.database)).problem
    await note(town.database, happened("session.deleted", session_id=session_id))
    await seal_all(town.database)
    found = await verify(town.database)
    assert (found.problem, found.deleted) == ("", events)


async def test_no_text_is_too_odd_for_the_audit(database):
    odd = happened(
        place="x" * 9000,
        session_id=uuid4(),
        body={"nul": "a\x00b", "half": "\ud800", "long": "y" * 99_000},
    )
    await note(database, odd, happened(body={"nul": "a\x00b", "half": "\ud800"}))
    async with database.begin() as tx:
        rows = (await tx.execute(text("SELECT place, body FROM audit_event ORDER BY number"))).all()
    assert len(rows[0].place) == 500
    assert rows[0].body["cut"] is True
    assert rows[1].body["nul"] == "a\ufffdb"
    assert json.dumps(rows[1].body)
    await seal_all(database)
    assert (await verify(database)).problem == ""
