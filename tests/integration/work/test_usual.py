"""How long it usually takes until a machine is ready."""

from bot.store.ids import new_id
from bot.work.queue import Event, append_events
from bot.work.usual import EVENTS, usual_seconds
from tests.integration.conftest import DEMO


async def ready(town, place, seconds, *, first="resuming", after=0):
    accepted = await town.say("!one", place=place)
    more = [Event(kind="text", body={"text": "x"})] * after
    body = {"step": "ready", "seconds": seconds, "first": first}
    async with town.database.begin() as tx:
        await append_events(tx, accepted.session_id, [Event(kind="step", body=body), *more])


async def test_it_is_the_median_of_the_last_times_that_began_alike(town):
    assert await usual_seconds(town.database, DEMO, "resuming") is None
    for place, seconds in (("a", 1.0), ("b", 3.0), ("c", 20.0)):
        await ready(town, place, seconds)
    await ready(town, "d", 90.0, first="booting")
    await ready(town, "a", 2.0)
    assert await usual_seconds(town.database, DEMO, "resuming") == 3.0
    assert await usual_seconds(town.database, DEMO, "booting") == 90.0
    assert await usual_seconds(town.database, new_id(), "resuming") is None


async def test_what_lies_far_back_in_a_session_is_not_looked_for(town):
    await ready(town, "a", 1.0, after=EVENTS)
    assert await usual_seconds(town.database, DEMO, "resuming") is None
