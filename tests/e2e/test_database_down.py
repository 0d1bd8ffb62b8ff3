"""An installation whose PostgreSQL goes away for a while and comes back."""

import asyncio
import time

import pytest

from tests.e2e.installation import Installation, make_repository, of_turn
from tests.support.postgres import embedded

DOWN_SECONDS = 15
TICKS = 12

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(600)]


def test_a_turn_goes_on_its_events_arrive_afterwards_and_workers_resume(tmp_path):
    server = embedded(tmp_path / "postgres")
    url = asyncio.run(server.start())
    ona = Installation(
        data=tmp_path / "data",
        repository=make_repository(tmp_path / "demo"),
        settings={"ONA_DATABASE__URL": url, "ONA_QUEUE__LEASE_SECONDS": "6"},
    )
    try:
        ona.start()
        ona.until_ready()
        accepted = ona.ask(f"!for n in $(seq {TICKS}); do echo tick $n; sleep 1; done")
        session = accepted["session"]
        ona.wait(accepted, "output")
        asyncio.run(server.stop())
        down = time.monotonic()
        while time.monotonic() - down < DOWN_SECONDS:
            with pytest.raises(AssertionError, match="try again"):
                ona.ask("!echo not accepted", session)
            time.sleep(1)
        asyncio.run(server.start())

        turn = of_turn(ona.wait(accepted), accepted)
        output = "".join(one["body"]["text"] for one in turn if one["kind"] == "output")
        assert output == "".join(f"tick {n}\n" for n in range(1, TICKS + 1))
        assert turn[-1]["body"]["outcome"] == "succeeded"
        assert ona.run("!echo again", session).output == "again\n"
        events = ona.events(session)
        assert [event["number"] for event in events] == list(range(1, len(events) + 1))
        assert not any("not accepted" in str(event["body"]) for event in events)
    finally:
        ona.end()
        asyncio.run(server.stop())
