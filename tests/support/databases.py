"""Databases for tests: each looks like a new copy of the template, most were used before.

Making and dropping one takes four times as long as emptying one. It gets a new name each time, so
that whoever still writes to the one of a test that is over can't reach it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import psycopg

from tests.support.postgres import TestServer, new_name

BYTES_MAX = 4 << 20
"""In the tables of a database that is worth emptying."""

END_SECONDS_MAX = 10.0
END_CONNECTIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'
"""
SHAPE = """
    SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_attribute),
           (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_trigger),
           (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_index),
           (SELECT count(*) FROM pg_namespace), (SELECT count(*) FROM pg_db_role_setting)
"""
SIZE = """
    SELECT sum(pg_table_size(oid)) FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
TABLES = """
    SELECT relname FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
       AND relname <> 'alembic_version'
"""
SEQUENCES = "SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"


class Databases:
    """The databases of a run, all of one template."""

    def __init__(self, server: TestServer, template: str) -> None:
        self._server = server
        self._template = template
        self._free: list[str] = []
        with self._connected(template) as connection:
            self._shape = connection.execute(SHAPE).fetchone()
            self._tables = [row[0] for row in connection.execute(TABLES)]
            filled = [name for name in self._tables if _has_rows(connection, name)]
        if filled:
            raise ValueError(f"emptying would lose what migrations wrote: {filled}")

    @contextmanager
    def one(self) -> Iterator[str]:
        """The url of a database for one test."""
        name = self._free.pop() if self._free else self._server.create(template=self._template)
        try:
            yield self._server.url_of(name)
        finally:
            self._take_back(name)

    def _take_back(self, name: str) -> None:
        try:
            self._end_connections(name)
            new = new_name()
            self._server.execute(f"ALTER DATABASE {name} RENAME TO {new}")
            name = new
            if self._emptied(name):
                self._free.append(name)
                return
        except psycopg.Error:
            pass
        self._server.drop(name)

    def _end_connections(self, name: str) -> None:
        # PostgreSQL itself would look for their end only every tenth of a second.
        until = monotonic() + END_SECONDS_MAX
        while self._server.execute(END_CONNECTIONS.format(name=name)) and monotonic() < until:
            sleep(0.001)

    def _emptied(self, name: str) -> bool:
        """Whether it is as the template is again; False: it is not worth the while."""
        with self._connected(name) as connection:
            (size,) = connection.execute(SIZE).fetchone() or (0,)
            if size > BYTES_MAX or connection.execute(SHAPE).fetchone() != self._shape:
                return False
            # Without the triggers of foreign keys the order does not matter.
            connection.execute("SET session_replication_role = replica")
            connection.execute(";".join(f'DELETE FROM "{table}"' for table in self._tables))
            connection.execute(SEQUENCES)
        return True

    def _connected(self, name: str) -> psycopg.Connection[tuple[object, ...]]:
        url = self._server.url_of(name)
        return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)


def _has_rows(connection: psycopg.Connection[tuple[object, ...]], table: str) -> bool:
    return connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() is not None
