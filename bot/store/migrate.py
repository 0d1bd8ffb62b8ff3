"""Brings a database to the newest schema; safe to call from every process at every start."""

import hashlib
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from bot.errors import Unfit

ADVISORY_LOCK = 7_165_433_001
"""Any fixed number: one migration at a time in a database."""


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(url: str) -> None:
    """Upgrade the database at `url`, under an advisory lock; nothing to do is quick.

    :raises Unfit: a migration that made it was changed since, as they may be before a release
    """
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        config = _config(connection)
        scripts = ScriptDirectory.from_config(config)
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and _made_of(connection) != _digest(scripts, current):
            raise Unfit(
                "the database was made by another state of ona, which has no way to this one",
                kept="nothing was changed",
                do="use an empty data directory, or an empty database",
            )
        head = scripts.get_current_head()
        if current != head and head is not None:
            command.upgrade(config, "head")
            made_of = _digest(scripts, head)
            connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{made_of}'"))


def _made_of(connection: Connection) -> str | None:
    """The digest of the migrations that made the database."""
    found = connection.scalar(text("SELECT obj_description('alembic_version'::regclass)"))
    return None if found is None else str(found)


def _digest(scripts: ScriptDirectory, revision: str) -> str:
    """What the migrations up to a revision are made of."""
    whole = hashlib.sha256()
    for script in scripts.walk_revisions(head=revision):
        whole.update(Path(script.path).read_bytes())
    return whole.hexdigest()
