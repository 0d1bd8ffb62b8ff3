"""What people may do on GitHub, how they are told, and what a message bears for them to see."""

from adapters.chat.port import Deadline, Sign
from adapters.forge.port import Permission


async def test_who_is_to_be_told_is_named_by_the_login_of_today(github, desk, pull):
    await desk.post(pull.place, notify=str(await github.ann.id()))
    await desk.post(pull.place, mark="m2", notify="bo")
    await desk.post(pull.place, mark="m3", notify="999999999")
    await desk.post(pull.place, mark="m4", notify="x y @eve")
    told = [words.mentions for words in github.world.thread(pull.place)]
    assert told == [["ann"], ["bo"], [], []]


async def test_a_message_bears_one_reaction_of_ours(github, desk, pull):
    message = await github.ann.says(pull, "/ona")
    inline = await github.ann.says_inline(pull, "/ona")
    await github.bo.asks("POST", f"{comment_path(message)}/reactions", {"content": "heart"})
    for told in (message, inline):
        for sign, content in (
            (Sign.SEEN, ["eyes"]),
            (Sign.WAITING, ["eyes"]),
            (Sign.REFUSED, ["confused"]),
            (None, []),
            (None, []),
            (Sign.FAILED, ["-1"]),
        ):
            await desk.react(told, sign)
            here = github.world.reactions[pull.repository.name, told.kind, told.id]
            ours = [one["content"] for one in here if one["user"]["login"] == github.app.login]
            assert ours == content
    here = github.world.reactions[pull.repository.name, message.kind, message.id]
    assert "heart" in [one["content"] for one in here]


def comment_path(message) -> str:
    return f"/repos/{message.thread.repository.name}/issues/comments/{message.id}"


async def test_a_review_bears_no_reaction(github, desk, pull):
    review = await github.ann.reviews(pull, "/ona")
    before = len(github.requests)
    await desk.react(review, Sign.SEEN)
    assert len(github.requests) == before


async def test_permissions_are_those_of_the_account(github, desk, shop):
    private = await github.repository("secret", private=True)
    for level in ("read", "triage", "write", "maintain", "admin"):
        await private.let(github.bo, level)
        expected = {"triage": "READ", "maintain": "WRITE"}.get(level, level.upper())
        assert await may(desk, private, github.bo) is Permission[expected]
    assert await may(desk, shop, github.acme) is Permission.ADMIN
    assert await may(desk, shop, github.eve) is Permission.READ
    assert await may(desk, private, github.eve) is Permission.NONE


async def test_who_or_what_we_do_not_see_may_nothing(github, desk, shop):
    elsewhere = await github.globex.creates("shop")
    assert await may(desk, elsewhere, github.globex) is Permission.NONE
    deadline = Deadline.after(10)
    for account in ("999999999", "ann", ""):
        permission = await desk.forge.permission(shop.name, account, deadline)
        assert permission is Permission.NONE


async def test_a_login_that_somebody_else_has_by_now_is_not_believed(github, desk, shop):
    await shop.let(github.bo, "admin")
    # What is kept: eve had the login that bo has.
    desk.forge._people._logins.put(str(await github.eve.id()), "bo", 60)
    assert await may(desk, shop, github.eve) is Permission.READ


async def may(desk, repository, person) -> Permission:
    deadline = Deadline.after(10)
    return await desk.forge.permission(repository.name, str(await person.id()), deadline)
