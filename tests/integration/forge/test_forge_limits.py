"""The forges' published limits, reached: nobody goes on asking, and nothing is lost or doubled.

The figures are the published ones (80 requests that make content a minute, 60 notes a minute); the
time in which they count goes four times as fast, so that a busy host reaches them too.
"""

import math
from dataclasses import replace

from adapters.chat.port import Rate
from adapters.forge.github.port import GitHubForge
from adapters.forge.gitlab import client as gitlab_client
from adapters.forge.gitlab.port import GitLabForge
from bot.conversation.outbox import SLOTS, Outbox
from tests.fakes.github.limits import CONTENT_A_MINUTE
from tests.fakes.gitlab.limits import NOTES_A_MINUTE
from tests.integration.forge.conftest import MARKS
from tests.integration.forge.gitlab_rig import open_shop
from tests.integration.outbox.rig import Office, running

SCALE = 4.0
GREEDY = {"post": Rate(burst=1_000, per_second=1_000)}
MORE = 15


async def reply_everywhere(office: Office, surface: str, places: list[str], count: int) -> set[str]:
    """Write so many replies."""
    for place in places:
        await office.thread(place, surface=surface)
    said = {f"reply {number}" for number in range(count)}
    for number, words in enumerate(sorted(said)):
        await office.reply(words, place=places[number % len(places)])
    return said


async def test_who_reaches_githubs_limit_waits_and_loses_nothing(town, github, app, shop):
    github.limits.scale = SCALE
    forge = GitHubForge(app, MARKS)
    forge.limits = replace(forge.limits, rates=GREEDY)
    office = await Office.open(town.database)
    issues = [await shop.issue() for _ in range(20)]
    places, count = [one.place for one in issues], CONTENT_A_MINUTE + MORE
    said = await reply_everywhere(office, "github", places, count)
    async with running(Outbox(town.database, {"github": forge}, sender="s", poll_seconds=0.5)):
        await office.until("state = 'sent'", count)
    asked = [status for verb, path, status in github.requests if path.endswith("/comments")]
    assert asked.count(201) == count
    assert 1 <= asked.count(403) <= SLOTS, "the others of the installation wait with the first"
    posted = [one.text for place in places for one in github.world.thread(place)]
    assert sorted(posted) == sorted(said)


async def test_githubs_limit_is_not_reached_at_our_own_rates(town, github, app, shop):
    scale = 100.0
    github.limits.scale = scale
    forge = GitHubForge(app, MARKS)
    rates = {
        method: replace(rate, per_second=rate.per_second * scale)
        for method, rate in forge.limits.rates.items()
    }
    forge.limits = replace(forge.limits, rates=rates)
    office = await Office.open(town.database)
    issues = [await shop.issue() for _ in range(10)]
    count = math.floor(rates["post"].burst) + 3 * MORE
    await reply_everywhere(office, "github", [one.place for one in issues], count)
    async with running(Outbox(town.database, {"github": forge}, sender="s", poll_seconds=0.5)):
        await office.until("state = 'sent'", count)
    assert {status for _, _, status in github.requests if status >= 400} == set()


async def test_who_reaches_gitlabs_limit_waits_and_loses_nothing(town, monkeypatch):
    # A refusal for too many notes says nothing of when to come back.
    monkeypatch.setattr(gitlab_client, "RETRY_SECONDS", 60 / SCALE)
    async with open_shop() as shop:
        shop.gitlab.limits.scale = SCALE
        shop.gitlab.limits.requests_a_minute = 1_000_000
        shop.forge.limits = replace(GitLabForge.limits, rates=GREEDY)
        office = await Office.open(town.database)
        issues = [shop.ann.reports(shop.project) for _ in range(20)]
        places, count = [one.place for one in issues], NOTES_A_MINUTE + MORE
        said = await reply_everywhere(office, "gitlab", places, count)
        outbox = Outbox(town.database, {"gitlab": shop.forge}, sender="s", poll_seconds=0.5)
        async with running(outbox):
            await office.until("state = 'sent'", count)
        refused = shop.gitlab.rest.asked("notes.create") - count
        assert 1 <= refused <= SLOTS, "the others wait with the first"
        posted = [one.body.split("\n")[0] for issue in issues for one in issue.by(shop.us)]
        assert sorted(posted) == sorted(said)
