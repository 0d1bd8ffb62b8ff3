"""What every test may ask for."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import TestServer, server


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """One PostgreSQL for the run."""
    with server() as running:
        yield running


@pytest.fixture(scope="session")
def _template(postgres: TestServer) -> Iterator[str]:
    with postgres.migrated() as name:
        yield name


@pytest.fixture
def database_url(postgres: TestServer, _template: str) -> Iterator[str]:
    """The url of a fresh database with our tables, for one test."""
    with postgres.database(template=_template) as name:
        yield postgres.url_of(name)
