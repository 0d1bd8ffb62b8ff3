"""The web server that these tests talk to."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.web.site import Site, running_site


@pytest.fixture
async def site(database_url, tmp_path) -> AsyncIterator[Site]:
    async with running_site(database_url, tmp_path) as running:
        yield running
