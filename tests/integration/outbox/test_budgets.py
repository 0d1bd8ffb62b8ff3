"""Budgets: what a surface allows is kept, and what is final always gets through."""

from adapters.chat.port import Rate
from tests.fakes.chat import Bad
from tests.integration.outbox.rig import Office

RATES = {"post": Rate(burst=10, per_second=0.01), "edit": Rate(burst=5, per_second=0.01)}


async def test_what_is_final_is_delivered_though_the_budget_of_live_edits_is_empty(
    office, server, sending
):
    sender = sending(rates=RATES)
    live = [await office.reply("0", place=f"acct/{n}", kind="live", final=False) for n in range(6)]
    await sender.once()
    for _ in range(8):
        for number, key in enumerate(live):
            wording = f"{_} of {number}"
            await office.reply(wording, place=f"acct/{number}", key=key, kind="live", final=False)
        await sender.once(later_seconds=3)
    edits = sum(len(post.texts) - 1 for post in server.posts)
    assert 0 < edits < 5
    waiting = await office.count("state = 'pending' AND kind = 'live'")
    assert waiting > 0
    last = live.index((await _oldest_waiting(office)).key)
    await office.reply("over", place=f"acct/{last}", key=live[last], kind="live", final=True)
    await office.reply("the answer", place=f"acct/{last}", kind="answer")
    await sender.once()
    assert server.texts(f"acct/{last}") == ["over", "the answer"]
    assert await office.count("state = 'pending' AND kind = 'live'") == waiting - 1


async def _oldest_waiting(office: Office):
    for place in office.threads:
        for row in await office.replies(place):
            if row.state == "pending" and row.kind == "live":
                return row
    raise AssertionError("none waits")


async def test_no_more_is_sent_than_the_surface_allows_and_nothing_is_lost(office, server, sending):
    # So seldom that how long sending takes makes no difference.
    sender = sending(rates={"post": Rate(burst=3, per_second=1 / 60)})
    for number in range(10):
        await office.reply(str(number), place=f"acct/{number}")
    await office.reply("other account", place="other/t")
    await sender.once()
    assert len([one for one in server.posts if one.place.startswith("acct")]) == 3
    assert server.texts("other/t") == ["other account"]
    minutes = 0
    while len(server.posts) < 11:
        await sender.once(later_seconds=120)
        minutes += 2
        assert len(server.posts) <= 4 + 3 + minutes
        assert minutes < 60
    assert await office.count("state = 'sent'") == 11


async def test_what_is_final_goes_before_what_is_live(office, server, sending):
    sender = sending(rates={"post": Rate(burst=1, per_second=1)})
    await office.reply("live", place="acct/1", kind="live", final=False)
    await office.reply("answer", place="acct/2", kind="answer")
    await sender.once()
    assert [post.text for post in server.posts] == ["answer"]


async def test_a_throttled_reply_and_all_of_its_account_wait_as_long_as_told(
    office, server, sending
):
    sender = sending(rates={"post": Rate(burst=10, per_second=1)})
    first = await office.reply("one", place="acct/1")
    server.behave("post", Bad(throttle_seconds=100))
    await sender.once()
    row = await office.row(first)
    assert (row.state, row.attempts, row.posted_ref) == ("pending", 0, None)
    assert "throttled" in row.error
    await office.reply("two", place="acct/2")
    await office.reply("three", place="other/3")
    await sender.once()
    await sender.once(later_seconds=90)
    assert [post.text for post in server.posts] == ["three"]
    await sender.once(later_seconds=60)
    assert sorted(post.text for post in server.posts) == ["one", "three", "two"]
    methods = [method for method, _ in server.requests]
    assert "history" not in methods
