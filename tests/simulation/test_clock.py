"""Days in which a leader is lost every hour: nothing that is due is missed, nothing is done twice.

ONA_TEST_SCHEDULES and ONA_TEST_SCHEDULE_DAYS set how many schedules and days; `make test-long` has
them all.
"""

import os

import pytest

from bot.store.database import Database
from tests.simulation.clock import simulate

SCHEDULES = int(os.environ.get("ONA_TEST_SCHEDULES", "60"))
DAYS = int(os.environ.get("ONA_TEST_SCHEDULE_DAYS", "7"))
"""From 23 March 2027 on: clocks change in Europe on the 28th."""


@pytest.mark.timeout(120)
async def test_nothing_is_missed_or_doubled_though_the_leader_is_lost_every_hour(database_url):
    database = Database(database_url)
    found = await simulate(database, schedules=SCHEDULES, days=DAYS)
    await database.close()
    assert (found.missed, found.doubled) == (0, 0)
    assert found.due >= SCHEDULES * DAYS
    assert found.leaders == DAYS * 24 + 1
