"""Which hosts are waited for no more."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.silence import BREAK_SECONDS, HOST_GRACE_SECONDS, Heard, given_up, is_silent

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
GRACE = HOST_GRACE_SECONDS
AGES = st.floats(0, 4 * GRACE)


def host(number: int, *, seen: float, since: float) -> Heard:
    """One that was heard from `since` to `seen` seconds ago."""
    return Heard(
        id=UUID(int=number),
        seen_at=NOW - timedelta(seconds=seen),
        heard_since=NOW - timedelta(seconds=max(seen, since)),
    )


def lost(*hosts: Heard, grace: float = GRACE) -> set[int]:
    return {one.int for one in given_up(hosts, NOW, grace)}


@pytest.mark.parametrize(
    ("seen", "listening", "expected"),
    [
        (0, 9 * GRACE, set()),
        (GRACE, 9 * GRACE, set()),
        (GRACE + 1, 9 * GRACE, {1}),
        # Whoever listens has come only now: the database was away, or nobody ran.
        (9 * GRACE, 0, set()),
        (9 * GRACE, GRACE, set()),
        (9 * GRACE, GRACE + 1, {1}),
    ],
)
def test_a_host_is_waited_for_while_somebody_could_have_heard_it(seen, listening, expected):
    assert lost(host(1, seen=seen, since=seen), host(2, seen=0, since=listening)) == expected


def test_it_does_not_matter_who_listened_as_long_as_somebody_did():
    silent = host(1, seen=9 * GRACE, since=9 * GRACE)
    new, old = host(2, seen=0, since=0), host(3, seen=0, since=9 * GRACE)
    assert lost(silent, new) == set()
    assert lost(silent, new, old) == {1}


def test_nobody_is_given_up_while_all_are_silent():
    assert lost(*(host(n, seen=9 * GRACE + n, since=9 * GRACE) for n in range(3))) == set()
    assert lost() == set()


def test_a_pause_between_reports_is_no_silence_however_short_the_grace():
    almost = host(1, seen=BREAK_SECONDS, since=GRACE)
    assert lost(almost, host(2, seen=0, since=GRACE), grace=1) == set()
    over = host(1, seen=BREAK_SECONDS + 1, since=GRACE)
    assert lost(over, host(2, seen=0, since=GRACE), grace=1) == {1}


@given(st.lists(st.tuples(AGES, AGES), max_size=6), st.floats(1, 2 * GRACE))
def test_who_is_given_up_was_silent_for_its_grace_while_another_was_heard(ages, grace):
    hosts = [host(n, seen=seen, since=since) for n, (seen, since) in enumerate(ages)]
    listening = [one for one in hosts if not is_silent(one.seen_at, NOW)]
    found = given_up(hosts, NOW, grace)
    for one in hosts:
        silence = (NOW - one.seen_at).total_seconds()
        if one.id in found:
            assert silence > max(grace, BREAK_SECONDS)
            assert any((NOW - other.heard_since).total_seconds() > grace for other in listening)
            assert found[one.id] == one.seen_at
    assert not {one.id for one in listening} & found.keys()


@given(st.lists(st.tuples(AGES, AGES), max_size=6), st.floats(0, GRACE))
def test_a_longer_grace_gives_up_no_other_hosts(ages, more):
    hosts = [host(n, seen=seen, since=since) for n, (seen, since) in enumerate(ages)]
    assert given_up(hosts, NOW, GRACE + more).keys() <= given_up(hosts, NOW, GRACE).keys()


@given(st.lists(st.tuples(AGES, AGES), min_size=1, max_size=6))
def test_one_more_report_saves_a_host(ages):
    hosts = [host(n, seen=seen, since=since) for n, (seen, since) in enumerate(ages)]
    back = Heard(id=hosts[0].id, seen_at=NOW, heard_since=NOW)
    assert back.id not in given_up([back, *hosts[1:]], NOW, GRACE)
