"""The migrations: they make exactly the tables that the code defines, once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import bot.store.models  # noqa: F401  (defines the tables)
from bot.errors import Unfit
from bot.store.migrate import upgrade

CATALOG = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), l.collname
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'S')
          AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    """,
    "triggers": """
        SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE NOT tgisinternal
    """,
    "functions": """
        SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
    "types": """
        SELECT typname, typtype::text FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typrelid = 0
    """,
}


def connect(url: str):
    return create_engine(url, poolclass=NullPool).begin()


def catalog(url: str) -> dict[str, list[tuple]]:
    """What the catalogue says of our tables; the order of columns is not compared."""
    with connect(url) as connection:
        return {
            what: sorted(
                (tuple(row) for row in connection.execute(text(query))),
                key=repr,
            )
            for what, query in CATALOG.items()
        }


def without_alembic(found: dict[str, list[tuple]]) -> dict[str, list[tuple]]:
    return {
        what: [row for row in rows if not any("alembic_version" in str(cell) for cell in row)]
        for what, rows in found.items()
    }


@pytest.fixture
def empty_url(postgres):
    with postgres.database() as name:
        yield postgres.url_of(name)


def test_an_upgrade_from_empty_equals_the_metadata(empty_url):
    upgrade(empty_url)
    with connect(empty_url) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []


def test_an_upgrade_makes_the_same_catalogue_as_the_definitions_do(empty_url, postgres):
    upgrade(empty_url)
    with postgres.database() as name:
        with connect(postgres.url_of(name)) as connection:
            SQLModel.metadata.create_all(connection)
        defined = catalog(postgres.url_of(name))
    migrated = without_alembic(catalog(empty_url))
    assert len(migrated["columns"]) > 50
    assert any(kind == "c" for _, _, kind, _ in migrated["constraints"])
    for what, rows in defined.items():
        assert migrated[what] == rows, what


def test_upgrades_at_the_same_time_run_one_after_the_other(empty_url):
    together = Barrier(4)

    def run() -> None:
        together.wait()
        upgrade(empty_url)

    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(run) for _ in range(4)]:
            future.result()
    with connect(empty_url) as connection:
        assert len(connection.execute(text("SELECT * FROM alembic_version")).all()) == 1


def test_an_upgrade_of_an_upgraded_database_changes_nothing(empty_url):
    upgrade(empty_url)
    before = catalog(empty_url)
    upgrade(empty_url)
    assert catalog(empty_url) == before


def test_a_database_of_another_state_of_the_migrations_is_refused_and_left_alone(empty_url):
    upgrade(empty_url)
    upgrade(empty_url)
    before = catalog(empty_url)
    for made_of in ("'older'", "NULL"):
        with connect(empty_url) as connection:
            connection.execute(text(f"COMMENT ON TABLE alembic_version IS {made_of}"))
        with pytest.raises(Unfit, match="another state of ona"):
            upgrade(empty_url)
    assert catalog(empty_url) == before
