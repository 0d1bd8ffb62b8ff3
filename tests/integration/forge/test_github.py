"""What is heard on GitHub: the same by webhook and by poll, each once, whatever goes wrong."""

import asyncio
import json
from dataclasses import replace

import pytest

from adapters.chat.incoming import Reworded, Said, Withdrawn
from adapters.chat.port import Live
from adapters.forge.github.hooks import GitHubHooks
from adapters.forge.github.polling import GitHubPolling
from adapters.forge.github.reading import Reader
from adapters.forge.hooks import Unsigned
from bot.conversation.addressing import Hearing, ThreadFacts, decide
from tests.fakes.github import Bad


class Kept:
    """Cursors that outlive who uses them."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, name: str) -> str | None:
        return self.values.get(name)

    async def put(self, name: str, value: str) -> None:
        assert len(value) <= 1_000
        self.values[name] = value


class Ears:
    """Hears, and fails to when it is told to."""

    def __init__(self) -> None:
        self.heard: list = []
        self.deaf = 0
        """So many times, what is to be heard is not."""

    async def hear(self, heard) -> None:
        if self.deaf:
            self.deaf -= 1
            raise RuntimeError("the database is away")
        self.heard.append(heard)

    @property
    def said(self) -> list[Said]:
        return [one for one in self.heard if isinstance(one, Said)]

    @property
    def keys(self) -> list[str]:
        return list(dict.fromkeys(one.key for one in self.said))


@pytest.fixture
def reader(app) -> Reader:
    return Reader(app, mention="ona")


@pytest.fixture
def cursors() -> Kept:
    return Kept()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def follow(app, reader, cursors, shop):
    """Makes what polls the repositories of these names, or the shop."""

    def polling(*names: str, **more) -> GitHubPolling:
        async def repositories():
            return names or [shop.name]

        return GitHubPolling(app, reader, cursors, repositories, **more)

    return polling


@pytest.fixture
def polling(follow) -> GitHubPolling:
    return follow()


@pytest.fixture
def hooks(github, reader) -> GitHubHooks:
    return GitHubHooks(reader, secret=github.hooks.secret.encode())


async def begun(polling) -> None:
    """Polled for the first time: what is said from now on is new."""
    await polling.poll(Ears().hear)


def same(said: Said) -> Said:
    """Without what tells one delivery from another."""
    return replace(said, delivery="")


async def say_everything(github, pull, issue) -> list:
    """Each kind of message, with and without a request in it."""
    ann = github.ann
    inline = await ann.says_inline(pull, "/ona here")
    said = [
        await ann.says(pull, "Looks odd.\n\n/ona fix it\nplease"),
        await ann.says(issue, "@ona-for-acme: look"),
        inline,
        await github.bo.says_inline(pull, "/ona and there", to=inline),
        await ann.reviews(pull, "/ona review"),
    ]
    for text in ("plain", "> /ona quoted", "`/ona` code", "@ona-for-acmes not us", "@ona nobody"):
        await ann.says(pull, text)
    await ann.says_inline(pull, "plain")
    await ann.reviews(pull, "fine")
    return said


async def take_all(github, hooks, ears, count: int) -> None:
    """Let the webhooks so far be taken, when so many have come."""
    await github.until(lambda: len(github.hooks.deliveries) >= count)
    for delivery in list(github.hooks.deliveries):
        await hooks.take(delivery.headers, delivery.body, ears.hear)


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


async def test_what_was_said_before_the_first_poll_is_not_heard(github, pull, polling, ears):
    await github.ann.says(pull, "/ona too early")
    await asyncio.sleep(1.1)
    await begun(polling)
    await github.ann.says(pull, "/ona now")
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["now"]


async def test_what_was_said_in_a_gap_is_heard_by_the_next_process(github, follow, pull, ears):
    await begun(follow())
    github.hooks.away = True
    for number in range(3):
        await github.ann.says(pull, f"/ona {number}")
    await github.ann.reviews(pull, "/ona review")
    await follow().poll(ears.hear)
    assert {one.text for one in ears.said} == {"0", "1", "2", "review"}
    again = Ears()
    await follow().poll(again.hear)
    assert set(again.keys) <= set(ears.keys)


async def test_a_long_gap_is_read_page_by_page(github, pull, polling, ears):
    await begun(polling)
    for start in range(0, 220, 20):
        batch = range(start, start + 20)
        await asyncio.gather(*(github.ann.says(pull, f"/ona {number}") for number in batch))
    await polling.poll(ears.hear)
    assert sorted(int(one.text) for one in ears.said) == list(range(220))


async def test_nothing_new_costs_nothing(github, pull, polling, ears):
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    await polling.poll(ears.hear)
    await polling.poll(ears.hear)
    spent = github.limits.spent.total()
    github.requests.clear()
    await polling.poll(ears.hear)
    assert [status for _, _, status in github.requests] == [304, 304, 304]
    assert github.limits.spent.total() == spent
    await github.ann.says(pull, "/ona more")
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["fix", "more"], "what overlaps is heard once"


async def test_what_could_not_be_heard_is_heard_by_the_next_poll(github, pull, polling, ears):
    await begun(polling)
    for number in range(3):
        await github.ann.says(pull, f"/ona {number}")
    ears.deaf = 2
    await polling.poll(ears.hear)
    assert ears.said == []
    await polling.poll(ears.hear)
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["0", "1", "2"]


async def test_an_error_of_one_repository_stops_no_other(github, follow, pull):
    other = await github.repository()
    elsewhere = await github.globex.creates("shop")
    ears = Ears()
    polling = follow(elsewhere.name, other.name, pull.repository.name)
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    github.behave("GET", other.name, Bad(status=500))
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["fix"]
    looked_for = f"/repos/{elsewhere.name}/installation"
    asked = [path for _, path, _ in github.requests if path == looked_for]
    assert len(asked) == 1, "what we don't see is left alone for a while"


async def test_what_is_asked_of_a_repository_that_has_moved_is_asked_there(
    github, pull, polling, ears
):
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    there = {"Location": f"{github.url}/repos/{pull.repository.name}/issues/comments"}
    github.behave("GET", "/issues/comments", Bad(status=301, headers=there))
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["fix"]


async def test_a_cursor_that_can_not_be_read_begins_at_now(github, follow, cursors, pull, ears):
    await begun(follow())
    for broken in ("", "{", "[]", "{}", '{"issue_comment": "x"}'):
        cursors.values = dict.fromkeys(cursors.values, broken)
        await follow().poll(ears.hear)
    polling = follow()
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    await polling.poll(ears.hear)
    assert [one.text for one in ears.said] == ["fix"]


async def test_a_poll_that_is_throttled_rests(github, pull, polling, ears):
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    throttled = Bad(status=403, headers={"Retry-After": "1"})
    github.behave("GET", "/issues/comments", throttled)
    await polling.poll(ears.hear)
    before = len(github.requests)
    await polling.poll(ears.hear)
    assert (ears.said, len(github.requests)) == ([], before)
    await asyncio.sleep(1.1)
    await polling.poll(ears.hear)
    assert len(ears.said) == 1


async def test_it_goes_on_until_it_is_stopped(github, follow, pull, ears):
    polling, stop = follow(every_seconds=0.05), asyncio.Event()
    running = asyncio.create_task(polling.run(ears.hear, stop))
    await github.until(lambda: any("/issues/comments" in path for _, path, _ in github.requests))
    await github.ann.says(pull, "/ona fix")
    await github.until(lambda: ears.said)
    stop.set()
    await asyncio.wait_for(running, 5)


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


async def test_a_repository_is_followed_under_the_name_that_github_writes(
    github, follow, cursors, shop, pull
):
    ears, polling = Ears(), follow(shop.name, shop.name)
    await begun(polling)
    await github.ann.says(pull, "/ona fix")
    await polling.poll(ears.hear)
    assert [one.spot.channel for one in ears.said] == [shop.name]
    assert len(cursors.values) == 1
