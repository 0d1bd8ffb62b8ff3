"""A database with an audit in it."""

from collections.abc import AsyncIterator

import pytest

from bot.store.database import Database


@pytest.fixture
async def database(database_url) -> AsyncIterator[Database]:
    """A database with our tables and nothing in them."""
    opened = Database(database_url, connections_max=10)
    yield opened
    await opened.close()
