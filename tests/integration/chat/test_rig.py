"""A test that fails here leaves nothing to those after it."""

import gc

import aiohttp
import pytest

from tests.integration.chat.slack_rig import open_office
from tests.support.shift import Shift


def open_sessions() -> set[int]:
    """The connection pools that nobody has closed."""
    pools = (one for one in gc.get_objects() if isinstance(one, aiohttp.ClientSession))
    return {id(one) for one in pools if not one.closed}


async def failing(office, places) -> None:
    async with office.serving(), Shift(office.town, places, "w"):
        office.asks("!true")
        raise AssertionError("of a test")


async def test_what_fails_while_slack_is_served_leaves_no_connection_open(town, places):
    before = open_sessions()
    async with open_office(town) as office:
        with pytest.raises(ExceptionGroup, match="in a TaskGroup") as failed:
            await failing(office, places)
        # Its traceback holds what was used, so that nothing is collected before we look.
        assert failed
        left = open_sessions()
    assert left <= before
