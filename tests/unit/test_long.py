"""`make test-long` has every surface in it, with the full count."""

import re

import pytest

from tests.integration.chat import chaos
from tests.support.long import COUNTING, COUNTS, ROOT


@pytest.mark.parametrize("surface", ["slack", "discord", "github", "gitlab"])
def test_delivery_chaos_of_each_surface_is_run_long(surface):
    found = [
        test
        for test in COUNTING
        if (ROOT / test).is_file()
        and re.search(
            rf"^async def test_answered_once_\w*{surface}", (ROOT / test).read_text(), re.M
        )
    ]
    assert len(found) == 1


def test_a_thousand_messages_are_said_and_that_ends():
    assert COUNTS["ONA_TEST_CHAT_MESSAGES"] == "1000"
    assert chaos.WAIT_SECONDS_MAX < chaos.SECONDS_MAX / 2, "two waits fit into it"
