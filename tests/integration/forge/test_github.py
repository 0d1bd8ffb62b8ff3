"""What is heard on GitHub: the same by webhook and by poll, each once."""

import asyncio
import json

import pytest

from adapters.chat.incoming import Reworded, Said, Withdrawn
from adapters.chat.port import Live
from adapters.forge.github.hooks import GitHubHooks
from adapters.forge.github.reading import Reader
from adapters.forge.hooks import Unsigned
from bot.conversation.addressing import Hearing, ThreadFacts, decide
from tests.integration.forge.github_rig import Ears, begun, same, say_everything, take_all


async def test_webhook_and_poll_hear_the_same(github, shop, pull, polling, hooks):
    await begun(polling)
    issue = await shop.issue()
    messages = await say_everything(github, pull, issue)
    by_hook, by_poll = Ears(), Ears()
    await take_all(github, hooks, by_hook, 12)
    await polling.poll(by_poll.hear)
    assert {message.ref for message in messages} == set(by_hook.keys) == set(by_poll.keys)
    polled = {one.key: same(one) for one in by_poll.said}
    for said in by_hook.said:
        assert same(said) == polled[said.key]


async def test_a_request_is_heard_with_its_place_and_author(github, shop, pull, polling, ears):
    await begun(polling)
    message = await github.ann.says(pull, "Looks odd.\n\n/ona fix it\nplease")
    inline = await github.bo.says_inline(pull, "/ona here")
    await polling.poll(ears.hear)
    whole, line = ears.said
    assert (whole.text, whole.key, whole.ref) == ("fix it\nplease", message.ref, message.ref)
    assert (whole.to_us, whole.pressed, line.text) == (True, False, "here")
    assert (whole.spot.surface, whole.spot.channel) == ("github", shop.name)
    assert (whole.spot.place, whole.spot.within) == (pull.place, "")
    assert (line.spot.place, line.spot.within) == (inline.place, pull.place)
    assert whole.spot.repository == f"{github.url}/{shop.name}.git"
    assert not whole.spot.foreign
    assert (whole.author.account, whole.author.name) == (github.url[7:], "ann")
    assert (whole.author.id, whole.author.standing) == (str(await github.ann.id()), "member")


async def test_an_edit_is_heard_as_said_and_then_reworded(github, pull, polling, hooks, ears):
    await begun(polling)
    message = await github.ann.says(pull, "/ona one")
    plain = await github.ann.says(pull, "plain")
    await polling.poll(ears.hear)
    await asyncio.sleep(1.1)
    await github.ann.edits(message, "/ona two")
    await github.ann.edits(plain, "/ona three")
    await polling.poll(ears.hear)
    by_poll = [(type(one), one.key, one.text) for one in ears.heard]
    edits = [
        (kind, key, text)
        for key, text in ((message.ref, "two"), (plain.ref, "three"))
        for kind in (Said, Reworded)
    ]
    assert by_poll == [(Said, message.ref, "one"), *edits]
    by_hook = Ears()
    await take_all(github, hooks, by_hook, 4)
    # Deliveries overtake each other.
    assert {(type(one), one.key, one.text) for one in by_hook.heard} == set(by_poll)


async def test_an_edit_by_somebody_else_is_not_the_authors(github, pull, polling, hooks, ears):
    await begun(polling)
    message = await github.ann.says(pull, "plain")
    await asyncio.sleep(1.1)
    await github.acme.edits(message, "/ona do as if ann had asked")
    await polling.poll(ears.hear)
    await take_all(github, hooks, ears, 2)
    assert ears.heard == []


async def test_a_request_that_is_edited_away_or_deleted_is_withdrawn(github, pull, hooks, ears):
    edited = await github.ann.says(pull, "/ona one")
    deleted = await github.ann.says(pull, "/ona two")
    inline = await github.ann.says_inline(pull, "/ona three")
    plain = await github.ann.says(pull, "plain")
    await github.ann.edits(edited, "never mind")
    for message in (deleted, inline, plain):
        await github.ann.deletes(message)
    await take_all(github, hooks, ears, 8)
    gone = {one.key for one in ears.heard if isinstance(one, Withdrawn)}
    assert gone == {edited.ref, deleted.ref, inline.ref}


async def test_an_edited_review_is_heard_by_webhook(github, pull, hooks, ears):
    review = await github.ann.reviews(pull, "hm")
    await github.ann.edits(review, "/ona review")
    await take_all(github, hooks, ears, 2)
    assert [(type(one), one.key) for one in ears.heard] == [
        (Said, review.ref),
        (Reworded, review.ref),
    ]


async def test_what_bots_and_we_ourselves_say_is_not_taken(github, pull, desk, polling, hooks):
    await begun(polling)
    await desk.post(pull.place, "/ona from us")
    path = f"/repos/{pull.repository.name}/issues/{pull.number}/comments"
    await github.by_other_app("POST", path, {"body": "/ona from another app"})
    await github.people["helper[bot]"].says(pull, "/ona from a bot")
    for listen in (
        lambda ears: polling.poll(ears.hear),
        lambda ears: take_all(github, hooks, ears, 3),
    ):
        ears = Ears()
        await listen(ears)
        assert {one.author.standing for one in ears.said} == {"bot"}
        decided = {decide(one, ThreadFacts()) for one in ears.said}
        assert decided == {Hearing.IGNORE}


async def test_who_writes_from_a_fork_gets_nothing_unless_forks_are_allowed(
    github, app, shop, polling, hooks
):
    await begun(polling)
    pull = await shop.pull_from_fork(github.eve)
    await github.ann.says(pull, "/ona fix")
    await github.ann.says_inline(pull, "/ona here")
    await github.ann.reviews(pull, "/ona review")
    for listen in (
        lambda ears: polling.poll(ears.hear),
        lambda ears: take_all(github, hooks, ears, 3),
    ):
        ears = Ears()
        await listen(ears)
        assert len(ears.said) == 3
        assert all(one.spot.foreign for one in ears.said)
        assert {decide(one, ThreadFacts()) for one in ears.said} == {Hearing.REFUSE}
    allowed = Ears()
    forks = Reader(app, mention="ona", forks=True)
    open_hooks = GitHubHooks(forks, secret=github.hooks.secret.encode())
    await take_all(github, open_hooks, allowed, 3)
    assert not any(one.spot.foreign for one in allowed.said)


async def test_a_pull_request_whose_fork_is_gone_is_foreign(github, pull, hooks, ears):
    await github.ann.says_inline(pull, "/ona here")
    await github.until(lambda: github.hooks.deliveries)
    payload = github.hooks.deliveries[0].payload
    payload["pull_request"]["head"]["repo"] = None
    body = json.dumps(payload).encode()
    headers = {**github.hooks.deliveries[0].headers}
    headers["X-Hub-Signature-256"] = github.hooks.signature(body)
    await hooks.take(headers, body, ears.hear)
    assert ears.said[0].spot.foreign


async def test_a_button_of_a_check_stops_the_turn(github, shop, desk, hooks, ears):
    pull = await shop.pull_from_fork(github.eve)
    ref = await desk.show(pull, Live.RUNNING)
    (run,) = pull.checks(await pull.head())
    pressed = await github.ann.presses(pull, run, "Stop")
    await hooks.take(pressed.headers, pressed.body, ears.hear)
    await hooks.take(pressed.headers, pressed.body, ears.hear)
    first, second = ears.said
    assert first == second
    assert (first.text, first.pressed, first.post) == ("stop", True, ref)
    assert (first.spot.place, first.author.name) == (pull.place, "ann")
    assert decide(first, ThreadFacts()) is Hearing.TAKE


async def test_a_button_of_another_app_is_not_ours(github, desk, pull, hooks, ears):
    await desk.show(pull, Live.RUNNING)
    (run,) = pull.checks(await pull.head())
    run = {**run, "app": {"id": 1, "slug": "other"}}
    pressed = await github.ann.presses(pull, run, "Stop")
    await hooks.take(pressed.headers, pressed.body, ears.hear)
    assert ears.heard == []


async def test_a_forged_delivery_is_refused_and_a_replayed_one_changes_nothing(
    github, pull, hooks, ears
):
    await github.ann.says(pull, "/ona fix")
    delivery = await github.hooks.next("issue_comment", "created")
    forged = delivery.body.replace(b"/ona fix", b"/ona rob")
    for headers, body in (
        (delivery.headers, forged),
        ({**delivery.headers, "X-Hub-Signature-256": ""}, delivery.body),
        (
            {**delivery.headers, "X-Hub-Signature-256": github.hooks.signature(forged, "guessed")},
            forged,
        ),
    ):
        with pytest.raises(Unsigned):
            await hooks.take(headers, body, ears.hear)
    assert ears.heard == []
    for _ in range(2):
        await hooks.take(delivery.headers, delivery.body, ears.hear)
    assert len({(one.key, one.delivery) for one in ears.said}) == 1


async def test_a_delivery_that_is_not_heard_is_not_acknowledged(github, pull, hooks, ears):
    await github.ann.says(pull, "/ona fix")
    delivery = await github.hooks.next("issue_comment", "created")
    ears.deaf = 1
    with pytest.raises(RuntimeError):
        await hooks.take(delivery.headers, delivery.body, ears.hear)
