"""Invariant 1 on the forges, whatever happens on the way in and on the way out.

So many requests are made while webhooks come twice, late, in another order or never, while the poll
that tells the same meets errors, and while who does both is killed; each is answered by a notice
while the forge throttles, breaks down before or after it acted, doesn't answer in time, and the
sender is killed between the commit and the post and after the post. Every request becomes one
prompt, every notice stands once.
ONA_TEST_CHAT_MESSAGES says how many, ONA_TEST_SEED repeats a run.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fakes.github import Bad as GitHubBad
from tests.fakes.github import FakeGitHub
from tests.fakes.github.limits import SECONDARY
from tests.fakes.github.people import Repository
from tests.fakes.gitlab import Bad as GitLabBad
from tests.integration.chat.chaos import (
    MESSAGES,
    SECONDS_MAX,
    SEED,
    Killing,
    Mortal,
    answer_all,
    assert_each_a_prompt,
    chance_of,
    free_port,
    mortal_listener,
    mortal_sender,
    until_sent,
    words,
)
from tests.integration.forge.gitlab_rig import Shop, open_shop
from tests.integration.forge.postman import Postman, letter_box, postman

THREADS = 10 + MESSAGES // 10
ENOUGH = 1_000_000
COMMENTS = r"^/api/v3/repos/.*/issues/\d+/comments$"
READS = r"^/api/v3/repos/.*/(pulls|comments)"
CUSTOM_SECRET = "not a guess"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS_MAX)]


@dataclass(kw_only=True)
class GitHubSide:
    """A repository whose API we know as that of an Enterprise Server; people use the other one."""

    github: FakeGitHub
    shop: Repository
    surface: str = "github"
    threads: list[Any] = field(default_factory=list)
    never: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "app_id": self.github.app.id,
            "private_key": self.github.private_key,
            "api_url": f"{self.github.url}/api/v3",
            "url": self.github.url,
        }

    @property
    def secret(self) -> str:
        return self.github.hooks.secret

    @property
    def clone_url(self) -> str:
        return f"{self.github.url}/{self.shop.name}.git"

    async def open(self) -> None:
        for number in range(THREADS):
            made = await (self.shop.pull() if number % 4 == 0 else self.shop.issue())
            self.threads.append(made)

    async def says(self, thread: int, text: str) -> None:
        await self.github.ann.says(self.threads[thread], text)

    def ours(self, thread: int) -> list[str]:
        said = self.github.world.thread(self.threads[thread].place)
        return [one.text for one in said if one.author.endswith("[bot]")]

    def spoil_post(self, chance, mortal: Mortal) -> None:
        slow = {"retry-after": "1"}
        bad = chance.choice(
            [
                GitHubBad(),
                GitHubBad(),
                GitHubBad(status=502),
                GitHubBad(answer_status=504),
                GitHubBad(drop=True),
                GitHubBad(drop_answer=True),
                GitHubBad(status=403, words=SECONDARY, headers=slow),
                GitHubBad(status=429, words="slow down", headers=slow),
                GitHubBad(wrong=b"<html>"),
                GitHubBad(answer_wait=self.never),
                GitHubBad(received=mortal.kill),
                GitHubBad(received=mortal.kill, drop=True),
                GitHubBad(stored=mortal.kill),
            ]
        )
        self.github.behave("POST", COMMENTS, bad)

    def spoil_read(self, chance) -> None:
        self.github.behave("GET", READS, chance.choice([GitHubBad(status=502), GitHubBad()]))


@dataclass(kw_only=True)
class GitLabSide:
    """A project whose webhooks bear a secret token."""

    shop: Shop
    surface: str = "gitlab"
    threads: list[Any] = field(default_factory=list)
    never: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def settings(self) -> dict[str, Any]:
        return {"token": self.shop.us.token, "url": self.shop.gitlab.url}

    @property
    def secret(self) -> str:
        return CUSTOM_SECRET

    @property
    def clone_url(self) -> str:
        return self.shop.project.clone_url

    async def open(self) -> None:
        ann, project = self.shop.ann, self.shop.project
        for number in range(THREADS):
            self.threads.append(ann.reports(project) if number % 4 else ann.opens(project))

    async def says(self, thread: int, text: str) -> None:
        self.shop.ann.says(self.threads[thread], text)

    def ours(self, thread: int) -> list[str]:
        noteable = self.threads[thread]
        ours = {one.body for one in noteable.by(self.shop.us)}
        assert len(ours) == len(noteable.by(self.shop.us))
        return [one.split("\n")[0] for one in ours]

    def spoil_post(self, chance, mortal: Mortal) -> None:
        bad = chance.choice(
            [
                GitLabBad(),
                GitLabBad(),
                GitLabBad(status=502),
                GitLabBad(answer_status=504),
                GitLabBad(drop=True),
                GitLabBad(drop_answer=True),
                GitLabBad(throttle_seconds=1),
                GitLabBad(wrong=b"<html>"),
                GitLabBad(answer_wait=self.never),
                GitLabBad(received=mortal.kill),
                GitLabBad(received=mortal.kill, drop=True),
                GitLabBad(stored=mortal.kill),
            ]
        )
        self.shop.gitlab.bad.behave("notes.create", bad)

    def spoil_read(self, chance) -> None:
        endpoint = chance.choice(["noteables.list", "notes.list"])
        self.shop.gitlab.bad.behave(endpoint, GitLabBad(status=502))


async def listening(town, surface: str) -> None:
    """Wait until the first poll: what is said from now on is found though its webhook is lost."""
    seen = f"SELECT count(*) FROM cursor WHERE name LIKE '{surface}:%'"
    async with asyncio.timeout(100):
        while not await town.value(seen):
            await asyncio.sleep(0.05)


async def answered_once(town, side, carries: Postman, chance) -> None:
    """Say everything, answer everything, and look at what stands there."""
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=side.clone_url)
    await side.open()
    port, hears = free_port(), {**side.settings, "webhook_secret": side.secret}
    carries.url = f"http://127.0.0.1:{port}/hooks/{side.surface}"
    async with (
        mortal_sender(town.database.url, {side.surface: side.settings}) as mortal,
        mortal_listener(town, {side.surface: hears}, port=port) as listener,
    ):
        killing = Killing(town, listener, chance)
        await listening(town, side.surface)
        answering = asyncio.create_task(answer_all(town))
        for number in range(MESSAGES):
            side.spoil_post(chance, mortal)
            if number % 5 == 0:
                side.spoil_read(chance)
            await side.says(number % THREADS, f"/ona !{words(number)}")
            await killing.said(number)
            await asyncio.sleep(chance.random() / 50)
        await answering
        await until_sent(town)
        side.never.set()
    await assert_each_a_prompt(town)
    print(f"{mortal.kills} kills, answers to webhooks: {sorted(set(carries.statuses))}")
    assert mortal.kills > MESSAGES / 50
    assert listener.kills > MESSAGES / 50
    for thread in range(THREADS):
        expected = [f"heard {words(number)}" for number in range(thread, MESSAGES, THREADS)]
        assert sorted(side.ours(thread)) == expected


async def test_answered_once_on_github_whatever_is_lost_doubled_late_or_broken(town, github, shop):
    chance = chance_of(SEED)
    github.limits.content_a_minute = github.limits.content_an_hour = ENOUGH
    github.limits.requests_an_hour = ENOUGH
    side = GitHubSide(github=github, shop=shop)
    async with postman(chance) as carries:
        github.hooks.subscriber = carries.carry
        await answered_once(town, side, carries, chance)


async def test_answered_once_on_gitlab_whatever_is_lost_doubled_late_or_broken(town):
    chance = chance_of(SEED)
    async with open_shop() as shop, postman(chance) as carries, letter_box(carries) as box:
        shop.gitlab.limits.notes_a_minute = shop.gitlab.limits.requests_a_minute = ENOUGH
        shop.gitlab.hook(shop.project, box, token=CUSTOM_SECRET)
        await answered_once(town, GitLabSide(shop=shop), carries, chance)
