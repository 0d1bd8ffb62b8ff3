"""Brings a database to the newest schema; safe to call from every process at every start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

ADVISORY_LOCK = 7_165_433_001
"""Any fixed number: one migration at a time in a database."""


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(url: str) -> None:
    """Upgrade the database at `url`, under an advisory lock; nothing to do is quick."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        config = _config(connection)
        head = ScriptDirectory.from_config(config).get_current_head()
        if MigrationContext.configure(connection).get_current_revision() != head:
            command.upgrade(config, "head")


def revise(url: str, message: str) -> None:
    """Write the migration that takes the database at `url` to the tables as they are defined."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        command.revision(_config(connection), message=message, autogenerate=True)
