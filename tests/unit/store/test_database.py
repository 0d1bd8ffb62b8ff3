"""Which errors of the database mean that it is away, and which may pass."""

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bot.store.database import is_away, may_pass

AWAY = {
    "08000", "08001", "08003", "08004", "08006", "08007", "08P01", "28000", "28P01", "53100",
    "53300", "57P01", "57P02", "57P03", "57P04", "57P05",
}  # fmt: skip
PASSING = {"40001", "40P01", "53200", "55P03", "57014"}
EVERY = sorted(
    {
        one.sqlstate: one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, psycopg.Error) and one.sqlstate
    }.items()
)


@pytest.mark.parametrize(("state", "kind"), EVERY, ids=[state for state, _ in EVERY])
def test_what_the_server_says_decides_whether_it_is_away_or_this_may_pass(state, kind):
    assert is_away(kind()) == (state in AWAY)
    assert may_pass(kind()) == (state in AWAY | PASSING)


def test_the_table_names_what_there_is():
    assert {state for state, _ in EVERY} >= AWAY | PASSING


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("the connection is closed"),
        ConnectionResetError(),
        PoolTimeout(),
        OperationalError("SELECT 1", {}, psycopg.OperationalError("server closed the connection")),
        OperationalError("SELECT 1", {}, errors.AdminShutdown()),
        ProgrammingError("SELECT 1", {}, Exception(), connection_invalidated=True),
    ],
)
def test_a_server_that_says_nothing_is_away(error):
    assert is_away(error)
    assert may_pass(error)


def test_what_mapped_tables_raise_is_told_apart_alike():
    deadlock = OperationalError("SELECT 1", {}, errors.DeadlockDetected())
    assert (is_away(deadlock), may_pass(deadlock)) == (False, True)
    too_large = OperationalError("SELECT 1", {}, errors.ProgramLimitExceeded())
    assert (is_away(too_large), may_pass(too_large)) == (False, False)


@pytest.mark.parametrize("error", [ValueError(), OSError(), TimeoutError()])
def test_what_is_no_word_of_a_database_is_neither(error):
    assert not is_away(error)
    assert not may_pass(error)
