"""What a machine is, judged from what lies on disk and what runs."""

import pytest

from vmpool.driver import Found
from vmpool.drivers.sight import judged
from vmpool.rest import RestState

NONE, PARTIAL, COMPLETE, USED = (
    RestState.NONE,
    RestState.PARTIAL,
    RestState.COMPLETE,
    RestState.USED,
)


@pytest.mark.parametrize(
    ("rest", "refusal", "pid", "found", "broken"),
    [
        (NONE, None, None, Found.STOPPED, None),
        (NONE, None, 7, Found.RUNNING, None),
        (NONE, "half created", None, Found.STOPPED, "half created"),
        (NONE, "half created", 7, Found.RUNNING, "half created"),
        (PARTIAL, "half-written", None, Found.STOPPED, "half-written"),
        (PARTIAL, "half-written", 7, Found.RUNNING, None),
        (USED, "used up", None, Found.STOPPED, "used up"),
        (USED, "used up", 7, Found.RUNNING, None),
        (COMPLETE, None, None, Found.RESTING, None),
        (COMPLETE, None, 7, Found.RESTING, None),
        (COMPLETE, "altered", None, Found.STOPPED, "altered"),
        (COMPLETE, "altered", 7, Found.STOPPED, "altered"),
    ],
)
def test_rest_and_process_decide_what_a_machine_is(
    rest: RestState, refusal: str | None, pid: int | None, found: Found, broken: str | None
) -> None:
    sight = judged("m1", rest=rest, refusal=refusal, pid=pid, durable=True)
    assert (sight.found, sight.broken, sight.pid) == (found, broken, pid)
    assert sight.durable is (found is Found.RESTING)
