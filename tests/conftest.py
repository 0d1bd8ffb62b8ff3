"""What every test may ask for."""

import os
from collections.abc import Generator, Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.github.program import Emulator, emulator
from tests.support import moves, offline
from tests.support.databases import Databases
from tests.support.openbao import OpenBao, openbao_server
from tests.support.postgres import TestServer, server

# How fast the machine is at the moment is not what these tests are about: on a busy one neither a
# slow example nor slow making of examples is a failure.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

offline.begin()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let only those tests reach the internet that are marked for what they fetch."""
    offline.let(any(item.get_closest_marker(mark) for mark in offline.ONLINE_MARKS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Fail a test that asked for the internet, whatever became of that."""
    yield
    if told := offline.told():
        pytest.fail(f"the internet was asked for:\n{told}", pytrace=False)


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    offline.end()


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """One PostgreSQL for the run."""
    with server() as running:
        yield running


@pytest.fixture(scope="session")
def _databases(postgres: TestServer) -> Iterator[Databases]:
    with postgres.migrated() as template:
        with psycopg.connect(postgres.url_of(template).replace("+psycopg", "", 1)) as connection:
            connection.execute(moves.statements().encode())
        yield Databases(postgres, template)


@pytest.fixture
def database_url(_databases: Databases) -> Iterator[str]:
    """The url of a database with our tables and nothing in them, for one test."""
    with _databases.one() as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(_databases: Databases) -> Iterator[str]:
    """The same for all tests of a file."""
    with _databases.one() as url:
        yield url


@pytest.fixture(scope="session")
def github_emulator() -> Iterator[Emulator]:
    """What stands behind the GitHub of the tests, one for the run."""
    with emulator() as running:
        yield running


@pytest.fixture(scope="session")
def openbao() -> Iterator[OpenBao]:
    """One OpenBao for the run; a test that breaks it starts one of its own."""
    with openbao_server() as running:
        yield running


@pytest.fixture
def vault_namespace(openbao: OpenBao) -> Iterator[str]:
    """A namespace of that OpenBao with nothing in it, for one test."""
    with openbao.namespace() as name:
        yield name


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what no run here can tell: tests that are left out by their mark say nothing."""
    if not os.environ.get("CLOUD_HYPERVISOR"):
        terminalreporter.write_line(
            "!!! NOT TESTED on a real Cloud Hypervisor: CLOUD_HYPERVISOR names none. "
            "`CLOUD_HYPERVISOR=/path make test-nested` does.",
            red=True,
        )
