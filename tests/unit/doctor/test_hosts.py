"""What `ona doctor` says of hosts that are silent."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.doctor.finding import Verdict
from bot.doctor.hosts import heard
from bot.doctor.stored import StoredHost

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def host(name: str, *, silent: float = 0, machines: int = 1, given_up: bool = False) -> StoredHost:
    return StoredHost(
        name=name,
        seen_at=NOW - timedelta(seconds=silent),
        is_given_up=given_up,
        now=NOW,
        machines=machines,
    )


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        ([], "none has reported yet"),
        ([host("a"), host("b", silent=30)], "2 heard"),
        ([host("a"), host("old", silent=9999, machines=0, given_up=True)], "1 heard"),
    ],
)
def test_it_is_fine_while_every_host_that_has_machines_is_heard(hosts, found):
    finding = heard(hosts, 600)
    assert (finding.verdict, finding.found, finding.follows) == (Verdict.FINE, found, "")


@pytest.mark.parametrize(
    ("hosts", "follows"),
    [
        ([host("a"), host("b", silent=300)], "wait for it, for 600 s; then they go on elsewhere"),
        ([host("a"), host("b", silent=300, given_up=True)], "Its sessions go on elsewhere"),
        ([host("b", silent=300)], "No prompt is run."),
    ],
)
def test_a_silent_host_is_named_with_its_machines_and_what_becomes_of_their_sessions(
    hosts, follows
):
    finding = heard(hosts, 600)
    assert finding.verdict is Verdict.LESS
    assert finding.found == "b has been silent since 2026-11-29 11:55 UTC (1 machine of sessions)"
    assert follows in finding.follows
    assert finding.do
