"""The yardstick of accepting a message runs what accepting runs, or its ratio says nothing."""

import psycopg

from tests.bench.sql_by_hand import ByHand
from tests.bench.town import Town


async def test_by_hand_the_same_statements_are_run_in_the_same_order(database_url, monkeypatch):
    execute, said = psycopg.AsyncCursor.execute, []

    async def noted(self, query, *rest, **more):
        said.append(query)
        return await execute(self, query, *rest, **more)

    town = Town(database_url)
    await town.settle()
    by_hand = await ByHand.open(town)
    monkeypatch.setattr(psycopg.AsyncCursor, "execute", noted)

    async def known(accept, hints, place):
        """The statements for a message in a thread that is known."""
        await accept(town.message(place))
        await hints.sent()
        before = len(said)
        await accept(town.message(place))
        await hints.sent()
        return said[before:]

    ours = await known(town.inbox.accept, town.database._hints, "ours")
    await by_hand.accept(town.message("theirs"))
    await town.database._hints.sent()
    theirs = await known(by_hand.accept, by_hand.hints, "theirs")
    assert theirs == ours
    assert len(ours) > 10
    await by_hand.close()
    await town.database.close()
