"""The databases that tests get: each as if it were new."""

import psycopg
import pytest

from tests.support.databases import Databases


@pytest.fixture(scope="module")
def databases(postgres):
    with postgres.migrated() as template:
        yield Databases(postgres, template)


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


def test_nothing_of_an_earlier_test_is_in_it(databases):
    with databases.one() as before, connect(before) as connection:
        connection.execute("INSERT INTO person (id, name) VALUES (gen_random_uuid(), 'Ann')")
    with databases.one() as after, connect(after) as connection:
        assert connection.execute("SELECT count(*) FROM person").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_whoever_outlives_a_test_does_not_reach_the_next_one(databases):
    with databases.one() as before:
        left = connect(before)
    with databases.one() as after:
        assert after != before
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            connect(before)


@pytest.mark.parametrize("change", ["CREATE TABLE more (n int)", "ALTER TABLE person ADD more int"])
def test_other_tables_are_not_handed_on(databases, change):
    with databases.one() as before, connect(before) as connection:
        connection.execute(change.encode())
    with databases.one() as after, connect(after) as connection:
        assert connection.execute("SELECT to_regclass('more')").fetchone() == (None,)
        columns = connection.execute("SELECT * FROM person").description
        assert "more" not in [column.name for column in columns]


def test_one_that_nobody_may_connect_to_any_more_is_not_handed_on(databases, postgres):
    with databases.one() as before:
        name = before.partition("@/")[2].partition("?")[0]
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    with databases.one() as after, connect(after) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
