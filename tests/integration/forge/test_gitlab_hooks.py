"""Hearing what GitLab's webhooks tell."""

import base64
from collections.abc import AsyncIterator

import pytest

from adapters.chat.incoming import Reacted, Reworded, Said, Withdrawn
from tests.fakes.gitlab import OWNER, REPORTER, Bad
from tests.integration.forge.gitlab_rig import Receiver, Shop, open_shop, receiving

SIGNING = f"whsec_{base64.b64encode(b'k' * 32).decode()}"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        yield shop


@pytest.fixture(params=["a secret", SIGNING])
async def receiver(request, shop) -> AsyncIterator[Receiver]:
    async with receiving(shop, secret=request.param) as receiver:
        yield receiver


async def settled(shop: Shop) -> list[int]:
    """What every delivery so far was answered."""
    await shop.gitlab.until(lambda: all(one.status for one in shop.gitlab.hooks.all))
    return [one.status for one in shop.gitlab.hooks.all]


async def test_a_request_is_heard(shop, receiver):
    note = shop.ann.says(shop.request, "Hm.\n/ona fix it")
    assert await settled(shop) == [204]
    (said,) = receiver.ears.all
    assert isinstance(said, Said)
    assert (said.text, said.key, said.ref) == ("fix it", f"note/{note.id}", str(note.id))
    assert said.to_us
    assert (said.author.account, said.author.id) == (shop.client.host, str(shop.ann.id))
    assert (said.author.name, said.author.handle) == ("ann", "ann")
    assert said.author.standing == "member"
    spot = said.spot
    assert (spot.surface, spot.channel, spot.place) == ("gitlab", "acme/api", shop.request.place)
    assert (spot.within, spot.repository) == ("", shop.project.clone_url)
    assert not spot.foreign


async def test_we_are_called_by_our_username_too(shop, receiver):
    shop.ann.says(shop.request, "@ona-bot fix it")
    shop.ann.says(shop.request, "@ona fix it")
    shop.ann.says(shop.request, "> /ona fix it")
    await settled(shop)
    assert receiver.ears.texts == ["fix it"]


async def test_a_discussion_is_a_part_of_its_merge_request(shop, receiver):
    first = shop.ann.says(shop.request, "/ona one", begins=True)
    shop.bo.says(first, "/ona two")
    await settled(shop)
    place = f"{shop.request.place}/d{first.discussion}"
    assert [one.spot.place for one in receiver.ears.said] == [place, place]
    assert {one.spot.within for one in receiver.ears.said} == {shop.request.place}


async def test_what_is_said_internally_has_a_place_of_its_own(shop, receiver):
    issue = shop.ann.reports(shop.project)
    asked = shop.ann.says(issue, "/ona hush", internal=True)
    await settled(shop)
    shop.ann.says(asked, "/ona still hush")
    await settled(shop)
    alone, inside = receiver.ears.said
    assert (alone.spot.place, alone.spot.within) == (f"{issue.place}/internal", "")
    assert inside.spot.place == f"{issue.place}/d{asked.discussion}/internal"
    assert inside.spot.within == f"{issue.place}/internal"
    for said in (alone, inside):
        await shop.post(said.spot.place, "hush", mark=said.key)
    assert all(one.internal for one in issue.by(shop.us))


async def test_a_confidential_issue_is_no_internal_note(shop, receiver):
    issue = shop.ann.reports(shop.project, confidential=True)
    shop.ann.says(issue, "/ona fix it")
    await settled(shop)
    assert [one.spot.place for one in receiver.ears.said] == [issue.place]


async def test_an_edit_is_heard_and_one_that_takes_the_request_away(shop, receiver):
    note = shop.ann.says(shop.request, "/ona one")
    await settled(shop)
    shop.ann.edits(note, "/ona two")
    await settled(shop)
    shop.ann.edits(note, "never mind")
    await settled(shop)
    key = f"note/{note.id}"
    assert [(type(one), one.key) for one in receiver.ears.all] == [
        (Said, key),
        (Said, key),
        (Reworded, key),
        (Withdrawn, key),
    ]
    assert receiver.ears.all[2].text == "two"


async def test_what_somebody_else_makes_of_a_note_is_not_its_authors_word(shop, receiver):
    note = shop.ann.says(shop.request, "Hm")
    shop.bo.edits(note, "/ona delete everything")
    assert await settled(shop) == [204, 204]
    assert receiver.ears.all == []


async def test_a_stop_sign_at_a_note_of_ours_is_heard(shop, receiver):
    ours = shop.us.says(shop.request, "Done.")
    theirs = shop.bo.says(shop.request, "Thanks.")
    award = shop.ann.awards(ours, "octagonal_sign")
    shop.ann.awards(ours, "thumbsup")
    shop.ann.awards(theirs, "x")
    shop.us.awards(ours, "x")
    await settled(shop)
    (reacted,) = receiver.ears.all
    assert isinstance(reacted, Reacted)
    assert (reacted.ref, reacted.delivery) == (str(ours.id), f"award/{award.id}")
    assert (reacted.channel, reacted.author.name) == ("acme/api", "ann")


async def test_a_stop_sign_at_ones_own_request_is_heard_and_at_anothers_is_not(shop, receiver):
    asked = shop.ann.says(shop.request, "/ona one")
    shop.bo.awards(asked, "octagonal_sign")
    award = shop.ann.awards(asked, "octagonal_sign")
    await settled(shop)
    assert len(receiver.ears.all) == 2
    (reacted,) = [one for one in receiver.ears.all if isinstance(one, Reacted)]
    assert (reacted.ref, reacted.delivery) == (str(asked.id), f"award/{award.id}")


async def test_bots_are_known_as_what_they_are(shop, receiver):
    renovate = shop.gitlab.person("project_5_bot_1f", is_bot=True)
    shop.project.members[renovate] = REPORTER
    renovate.says(shop.request, "/ona one")
    shop.us.says(shop.request, "/ona two")
    await settled(shop)
    assert [one.author.standing for one in receiver.ears.said] == ["bot", "bot"]


async def test_accounts_can_be_told_to_be_bots_and_whom_nobody_knows_is_a_stranger(shop):
    async with receiving(shop, secret="s", bots={"bo"}) as receiver:
        shop.bo.says(shop.request, "/ona one")
        await settled(shop)
        shop.gitlab.bad.behave("users.show", Bad(status=404))
        shop.ann.says(shop.request, "/ona two")
        await settled(shop)
    assert [one.author.standing for one in receiver.ears.said] == ["bot", "stranger"]


@pytest.mark.parametrize("forks", [False, True])
async def test_a_merge_request_from_a_fork_is_foreign_unless_forks_are_allowed(shop, forks):
    fork = shop.gitlab.project("bo/api", {shop.bo: OWNER}, visibility="public")
    request = shop.bo.opens(shop.project, source=fork)
    async with receiving(shop, secret="s", forks=forks) as receiver:
        shop.ann.says(request, "/ona fix it")
        request.source = None
        shop.ann.says(request, "/ona fix it")
        await settled(shop)
    assert [one.spot.foreign for one in receiver.ears.said] == [not forks, not forks]


async def test_who_does_not_know_the_secret_is_not_heard(shop, receiver):
    (hook,) = shop.project.hooks
    hook.token, hook.signing_token = "a guess", ""
    shop.ann.says(shop.request, "/ona fix it")
    hook.signing_token = f"whsec_{base64.b64encode(b'wrong' * 8).decode()}"
    shop.ann.says(shop.request, "/ona fix it")
    assert await settled(shop) == [403, 403]
    assert receiver.ears.all == []


async def test_a_delivery_that_comes_again_says_the_same(shop, receiver):
    shop.ann.says(shop.request, "/ona fix it")
    await settled(shop)
    (delivery,) = shop.gitlab.hooks.all
    shop.gitlab.hooks.again(delivery)
    assert await settled(shop) == [204, 204]
    first, again = receiver.ears.said
    assert (first.key, first.delivery) == (again.key, again.delivery)


async def test_a_replay_after_minutes_is_refused_where_deliveries_are_signed(shop):
    async with receiving(shop, secret=SIGNING) as receiver:
        shop.gitlab.clock.skip(-600)
        shop.ann.says(shop.request, "/ona fix it")
        assert await settled(shop) == [403]
    assert receiver.ears.all == []


async def test_what_is_not_heard_is_not_acknowledged(shop, receiver):
    receiver.ears.deaf = RuntimeError("the database is away")
    shop.ann.says(shop.request, "/ona fix it")
    assert await settled(shop) == [500]
    shop.gitlab.hooks.again(shop.gitlab.hooks.all[0])
    assert await settled(shop) == [500, 204]
    assert receiver.ears.texts == ["fix it"]


async def test_a_request_survives_quick_actions(shop, receiver):
    shop.ann.says(shop.request, "/label ~bug\n/ona fix it\n/close")
    assert shop.ann.tries(shop.request, "/approve") == [("approve", "")]
    await settled(shop)
    assert receiver.ears.texts == ["fix it"]
    assert shop.request.actions == [("label", "~bug"), ("close", ""), ("approve", "")]


async def test_a_secret_is_needed(shop):
    for secret in ("", "whsec_no base64!"):
        with pytest.raises(ValueError, match=r"secret|base64"):
            async with receiving(shop, secret=secret):
                pass
