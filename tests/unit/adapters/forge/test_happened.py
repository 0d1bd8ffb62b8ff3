"""When an answer of a forge was given."""

from datetime import UTC, datetime

import pytest

from adapters.forge.happened import answered_at

AT = "Mon, 30 Nov 2026 06:31:23 GMT"


@pytest.mark.parametrize(
    "date",
    [
        AT,
        # As a proxy leaves it that adds its own.
        f"{AT}, {AT}",
        "Mon, 30 Nov 2026 06:31:23 -0000",
        "Mon, 30 Nov 2026 08:31:23 +0200",
    ],
)
def test_a_date_is_read_in_the_zone_of_greenwich(date):
    assert answered_at(date) == datetime(2026, 11, 30, 6, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 31 Feb 2026 06:31:23 GMT"])
def test_where_none_is_said_it_was_now(date):
    assert abs((answered_at(date) - datetime.now(UTC)).total_seconds()) < 3600
