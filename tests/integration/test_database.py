"""The way to PostgreSQL: transactions, batches, hints, and a server that goes away or hangs."""

import asyncio
import os
import signal

import psycopg
import pytest
from sqlalchemy import text

from bot.store import shorts
from bot.store.database import CONTROL, READY, Database, Listener, is_away, may_pass
from bot.store.embedded import EmbeddedPostgres
from tests.integration.conftest import settle

ADD = text("INSERT INTO person (id, name) VALUES (:id, :name)")
COUNT = text("SELECT count(*) FROM person")


@pytest.fixture
async def database(database_url):
    database = Database(database_url)
    yield database
    await database.close()


async def test_what_is_hinted_is_heard_after_the_commit_and_each_once(database, database_url):
    listener, heard = Listener(database_url, READY), asyncio.Queue()
    listener.on(READY, heard.put_nowait)
    listening = asyncio.create_task(listener.run())
    await listener.listening.wait()
    assert await heard.get() == ""
    with pytest.raises(psycopg.errors.UndefinedTable):
        await _hint_and_fail(database)
    async with database.begin() as tx:
        tx.hint(READY, "committed")
        tx.hint(READY, "committed")
        tx.hint(CONTROL, "for others")
        await tx.execute(COUNT)
        assert heard.empty()
    await database.close()
    async with asyncio.timeout(100):
        assert await heard.get() == "committed"
    assert heard.empty()
    listening.cancel()


async def _hint_and_fail(database: Database) -> None:
    async with database.begin() as tx:
        tx.hint(READY, "rolled back")
        await tx.execute(text("SELECT * FROM nothing"))


async def test_connections_that_the_server_ended_are_replaced_at_once(database):
    await asyncio.gather(*(database.run(text("SELECT pg_sleep(0.05)")) for _ in range(3)))
    ended = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await database.run(ended)
    tried = [await asyncio.gather(database.run(COUNT), return_exceptions=True) for _ in range(5)]
    failed = [error for (error,) in tried if isinstance(error, BaseException)]
    assert len(failed) <= 1
    assert all(is_away(error) for error in failed)


async def test_a_server_that_hangs_is_as_good_as_away(tmp_path):
    postgres = EmbeddedPostgres(tmp_path)
    await postgres.start()
    database = Database(postgres.url, transaction_seconds=0.5)
    try:
        backend = (await database.run(text("SELECT pg_backend_pid()"))).scalar_one()
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(psycopg.OperationalError, match=r"did not answer for 0.5 s") as away:
                await database.run(COUNT)
        finally:
            os.kill(backend, signal.SIGCONT)
        assert is_away(away.value)
        assert (await database.run(text("SELECT 1"))).scalar_one() == 1
    finally:
        await database.close()
        await postgres.stop()


@pytest.mark.parametrize("statements", [["SELECT pg_sleep(600)"], ["SELECT pg_sleep(2)"] * 9])
async def test_a_server_that_lives_while_a_statement_takes_too_long_is_not_away(
    database_url, statements
):
    database = Database(database_url, transaction_seconds=4)
    with pytest.raises(psycopg.errors.QueryCanceled) as slow:
        await _run_all(database, statements)
    assert (is_away(slow.value), may_pass(slow.value)) == (False, True)
    assert (await database.run(text("SELECT 1"))).scalar_one() == 1
    await database.close()


async def _run_all(database: Database, statements: list[str]) -> None:
    async with database.begin() as tx:
        for statement in statements:
            await tx.execute(text(statement))


async def test_a_statement_that_takes_too_long_leaves_its_transaction_time_to_go_on(database_url):
    database = Database(database_url, transaction_seconds=8)
    async with database.begin() as tx:
        with pytest.raises(psycopg.errors.QueryCanceled):
            async with tx.begin_nested():
                await tx.execute(text("SELECT pg_sleep(600)"))
        assert await tx.scalar(text("SELECT 1")) == 1
    await database.close()


async def test_two_transactions_at_once_wait_for_a_connection(database_url):
    database = Database(database_url, connections_max=1)
    _, people = await settle(database)
    found = await asyncio.gather(*(database.run(COUNT) for _ in range(20)))
    assert {rows.scalar_one() for rows in found} == {len(people)}
    await database.close()


async def test_what_is_lent_when_the_pool_closes_is_closed_when_it_comes_back(
    database, database_url
):
    lending = Database(database_url)
    mine = text("SELECT pg_backend_pid()")
    async with lending.begin() as tx:
        lent = (await tx.execute(mine)).scalar_one()
        await lending.close()
    after = (await lending.run(mine)).scalar_one()
    left = text("SELECT pid FROM pg_stat_activity WHERE pid = ANY(:lent)")
    async with asyncio.timeout(100):
        while (await database.run(left, {"lent": [lent, after]})).all():
            await asyncio.sleep(0.05)


async def test_a_short_id_that_is_taken_is_drawn_again_and_not_for_ever(database):
    table = "CREATE TEMP TABLE named (short text, tried bigint CHECK (tried > {}))"
    add = text("INSERT INTO named VALUES (:short || :rest, nextval('tries'))")
    async with database.begin() as tx:
        await tx.execute(text("CREATE TEMP SEQUENCE tries"))
        await tx.execute(text(table.format(2)))
        short = await shorts.add(tx, add, {}, "x", named=lambda one: {"rest": f" of {one[:1]}"})
        assert short is not None
        found = (await tx.execute(text("SELECT short, tried FROM named"))).one()
        assert found == (f"{short} of x", 3)
        await tx.execute(text("DROP TABLE named"))
        await tx.execute(text(table.format(1_000)))
        assert await shorts.add(tx, add, {"rest": ""}, "x") is None
        assert await tx.scalar(text("SELECT count(*) FROM named")) == 0
