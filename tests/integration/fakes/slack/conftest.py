"""What the tests of the fake Slack may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.fakes.slack.town import Town, running_town


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with running_town() as town:
        yield town
