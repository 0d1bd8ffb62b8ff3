"""How long what a killed process left may work on, by the times that are set."""

import pytest

from adapters.vault.tokens import UNWRITTEN_SECONDS
from bot.config import QueueSettings
from bot.govern.grant_rows import LATE_SECONDS, UNRECORDED_SECONDS
from bot.govern.grants import SWEEP_SECONDS
from bot.govern.issuance import ISSUE_SECONDS, REVOKE_SECONDS
from scheduler.chores import JITTER
from vmpool.silence import BREAK_SECONDS

OUTLIVES_SECONDS_MAX = 60
NOTICED = {
    "a worker that died": QueueSettings().lease_seconds + LATE_SECONDS,
    "one that died while it issued": UNRECORDED_SECONDS,
    "a host that died while it built": BREAK_SECONDS,
    "a turn that ended while its issuer did not answer": ISSUE_SECONDS + REVOKE_SECONDS,
}


@pytest.mark.parametrize("what", NOTICED)
def test_no_grant_outlives_its_turn_by_more_than_a_minute(what):
    # An issuer that does not answer keeps the sweep that had just begun from the next look.
    until_next = REVOKE_SECONDS + SWEEP_SECONDS * (1 + JITTER)
    assert NOTICED[what] + until_next + REVOKE_SECONDS <= OUTLIVES_SECONDS_MAX


def test_who_still_issues_is_not_swept():
    assert UNRECORDED_SECONDS > 2 * ISSUE_SECONDS


def test_a_token_that_nobody_wrote_down_ends_before_it_could_be_swept():
    assert ISSUE_SECONDS < UNWRITTEN_SECONDS < UNRECORDED_SECONDS
