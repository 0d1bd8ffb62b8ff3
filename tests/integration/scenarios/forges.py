"""GitHub and GitLab, as people talk there; they tell us of it by webhooks, or are asked."""

import base64
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from pydantic import SecretStr

from bot.config import GitHubSettings, GitLabSettings
from tests.fakes.github import Emulator, FakeGitHub
from tests.fakes.github.people import Repository
from tests.fakes.gitlab import DEVELOPER
from tests.fakes.gitlab.eyes import shown
from tests.fakes.gitlab.hooks import signature
from tests.integration.conftest import Town
from tests.integration.forge.gitlab_rig import Shop, open_shop
from tests.integration.forge.postman import Postman, letter_box, postman
from tests.integration.scenarios.talks import until

SECRET = f"whsec_{base64.b64encode(b'not a guess').decode()}"

SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature", "idempotency-key")
Delivery = tuple[Mapping[str, str], bytes]


async def asked(town: Town, surface: str) -> None:
    """Wait until a forge was asked once: what was said before that is none of ours."""
    followed = f"SELECT count(*) FROM cursor WHERE name LIKE '{surface}:%'"

    async def found() -> bool:
        return bool(await town.value(followed))

    await until(found, followed)


class GitHubTalk:
    name = "github"
    stops: ClassVar = ("word", "button")
    asks_which: ClassVar = False
    confides: ClassVar = False
    town: Town

    def __init__(
        self, github: FakeGitHub, shop: Repository, carries: Postman, ids: Mapping[str, int]
    ) -> None:
        self.github, self.shop, self.carries, self.ids = github, shop, carries, ids

    @property
    def settings(self) -> Mapping[str, Any]:
        section = GitHubSettings(
            app_id=self.github.app.id,
            private_key=SecretStr(self.github.private_key),
            webhook_secret=SecretStr(self.github.hooks.secret),
            api_url=self.github.url,
            url=self.github.url,
        )
        return {"github": section}

    @property
    def clone_url(self) -> str:
        return f"{self.github.url}/{self.shop.name}.git"

    def accounts(self) -> Mapping[str, tuple[str, str]]:
        surface = f"github:{self.github.url.partition('://')[2]}"
        return {name: (surface, str(number)) for name, number in self.ids.items()}

    async def hooked(self, url: str) -> None:
        self.carries.url = f"{url}/hooks/github"

    async def ready(self) -> None:
        """Webhooks are heard as soon as the pages are served."""

    async def begins(self, text: str, by: str = "ann") -> Any:
        pull = await self.shop.pull()
        await self.says(pull, text, by)
        return pull

    async def says(self, thread: Any, text: str, by: str = "ann") -> Any:
        return await self.github.people[by].says(thread, f"Hm.\n\n/ona {text}")

    async def edits(self, message: Any, text: str, by: str = "ann") -> None:
        await self.github.people[by].edits(message, f"/ona {text}")

    async def stop(self, thread: Any, how: str) -> None:
        if how == "word":
            await self.says(thread, "stop")
            return
        head = await thread.head()

        def running() -> list[Any]:
            return [one for one in thread.checks(head) if one["status"] == "in_progress"]

        await until(running)
        (run,) = running()
        await self.github.bo.presses(thread, run, "Stop")

    def posts(self, thread: Any) -> list[str]:
        said = self.github.world.thread(thread.place)
        return [one.text for one in said if one.author == self.github.app.login]

    def signed(self, delivery: Delivery, body: bytes, secret: str = "") -> Mapping[str, str]:
        """The headers with which GitHub would deliver another body."""
        made = {"X-GitHub-Delivery": str(uuid.uuid4())}
        made["X-Hub-Signature-256"] = self.github.hooks.signature(body, secret or None)
        return {**delivery[0], **made}

    def reworded(self, delivery: Delivery, text: str, author: str = "") -> bytes:
        """The body of a delivery of another comment, perhaps by somebody with another name."""
        data = json.loads(delivery[1])
        data["comment"] |= {"id": data["comment"]["id"] + 100_000, "body": text}
        if author:
            data["comment"]["user"]["login"] = data["sender"]["login"] = author
        return json.dumps(data).encode()

    def pinged(self, thread: Any) -> list[str]:
        """Whom our posts tell."""
        said = self.github.world.thread(thread.place)
        ours = [one for one in said if one.author == self.github.app.login]
        return [name for one in ours for name in one.mentions]

    def raw(self, thread: Any) -> list[str]:
        said = self.github.world.thread(thread.place)
        return [one.data["body"] for one in said if one.author == self.github.app.login]

    async def robot(self, thread: Any, text: str) -> None:
        """Let another app say something."""
        path = f"/repos/{self.shop.name}/issues/{thread.number}/comments"
        await self.github.by_other_app("POST", path, {"body": text})

    async def stranger(self, thread: Any, text: str) -> Any:
        """Let somebody say something who may only read."""
        return await self.github.eve.says(thread, text)

    async def verbatim(self, thread: Any, text: str) -> Any:
        return await self.github.ann.says(thread, text)

    def signs(self, message: Any) -> list[str]:
        """What stands at a message."""
        here = self.github.world.reactions[self.shop.name, message.kind, message.id]
        return [one["content"] for one in here]

    async def hidden_repository(self) -> str:
        """The address of a repository that only its owner sees."""
        secret = await self.github.acme.creates("vault", private=True)
        return f"{self.github.url}/{secret.name}.git"

    async def beside(self, thread: Any) -> list[str]:
        """What the check runs say."""
        return [str(one["output"]) for one in thread.checks(await thread.head())]


class PolledGitHubTalk(GitHubTalk):
    """The same, of an installation without an address that GitHub could reach."""

    name = "github-polled"
    stops: ClassVar = ("word",)

    @property
    def settings(self) -> Mapping[str, Any]:
        told = super().settings["github"]
        return {"github": told.model_copy(update={"webhook_secret": None})}

    async def ready(self) -> None:
        await asked(self.town, "github")


@asynccontextmanager
async def github_talk(
    town: Town, program: Emulator, made: type[GitHubTalk] = GitHubTalk
) -> AsyncIterator[GitHubTalk]:
    async with (
        FakeGitHub(program) as github,
        postman(random.Random(0), fates=("once",)) as carries,
    ):
        if made is GitHubTalk:
            github.hooks.subscriber = carries.carry
        shop = await github.repository()
        for person in (github.ann, github.bo):
            await shop.let(person, "write")
        ids = {"ann": await github.ann.id(), "bo": await github.bo.id()}
        talk = made(github, shop, carries, ids)
        talk.town = town
        yield talk


class GitLabTalk:
    name = "gitlab"
    stops: ClassVar = ("word", "reaction")
    asks_which: ClassVar = False
    confides: ClassVar = False
    town: Town

    def __init__(self, shop: Shop, carries: Postman) -> None:
        self.shop, self.carries = shop, carries
        self.people = {"ann": shop.ann, "bo": shop.bo}

    @property
    def settings(self) -> Mapping[str, Any]:
        section = GitLabSettings(
            token=SecretStr(self.shop.us.token),
            webhook_secret=SecretStr(SECRET),
            url=self.shop.gitlab.url,
        )
        return {"gitlab": section}

    @property
    def clone_url(self) -> str:
        return self.shop.project.clone_url

    def accounts(self) -> Mapping[str, tuple[str, str]]:
        surface = f"gitlab:{self.shop.client.host}"
        return {name: (surface, str(one.id)) for name, one in self.people.items()}

    async def hooked(self, url: str) -> None:
        self.carries.url = f"{url}/hooks/gitlab"

    async def ready(self) -> None:
        """Webhooks are heard as soon as the pages are served."""

    async def begins(self, text: str, by: str = "ann") -> Any:
        request = self.shop.ann.opens(self.shop.project)
        await self.says(request, text, by)
        return request

    async def says(self, thread: Any, text: str, by: str = "ann") -> Any:
        return self.people[by].says(thread, f"Hm.\n\n/ona {text}")

    async def edits(self, message: Any, text: str, by: str = "ann") -> None:
        self.people[by].edits(message, f"/ona {text}")

    async def stop(self, thread: Any, how: str) -> None:
        """A turn has no note before its end: the sign stands at the answer to an earlier one."""
        if how == "word":
            await self.says(thread, "stop")
        else:
            self.people["bo"].awards(thread.by(self.shop.us)[0], "octagonal_sign")

    def posts(self, thread: Any) -> list[str]:
        return [shown(one.body) for one in thread.by(self.shop.us)]

    def signed(self, delivery: Delivery, body: bytes, secret: str = "") -> Mapping[str, str]:
        """The headers with which GitLab would deliver another body."""
        key, moment = str(uuid.uuid4()), str(int(time.time()))
        made = {"webhook-id": key, "webhook-timestamp": moment, "Idempotency-Key": key}
        made["webhook-signature"] = signature(secret or SECRET, key, moment, body)
        known = {name: value for name, value in delivery[0].items() if name.lower() not in SIGNED}
        return {**known, **made}

    def reworded(self, delivery: Delivery, text: str, author: str = "") -> bytes:
        """The body of a delivery of another note, perhaps by somebody with another name."""
        data = json.loads(delivery[1])
        note = data["object_attributes"]
        note |= {"id": note["id"] + 100_000, "note": text, "description": text}
        if author:
            data["user"] |= {"username": author, "name": author}
        return json.dumps(data).encode()

    def pinged(self, thread: Any) -> list[str]:
        """Whom our posts tell."""
        ours = set(map(id, thread.by(self.shop.us)))
        people = self.shop.gitlab.people
        return [one.username for one in people for note in one.told if id(note) in ours]

    def raw(self, thread: Any) -> list[str]:
        return [one.body for one in thread.by(self.shop.us)]

    async def robot(self, thread: Any, text: str) -> None:
        """Let the bot of another token say something."""
        robot = self.shop.gitlab.person("robot", is_bot=True)
        self.shop.project.members[robot] = DEVELOPER
        robot.says(thread, text)

    async def stranger(self, thread: Any, text: str) -> Any:
        """Let somebody say something who may only read."""
        self.shop.project.visibility = "public"
        return self.shop.gitlab.person("eve").says(thread, text)

    async def verbatim(self, thread: Any, text: str) -> Any:
        return self.shop.ann.says(thread, text)

    def signs(self, message: Any) -> list[str]:
        """What stands at a message."""
        return [one.name for one in message.awards]

    async def hidden_repository(self) -> str:
        """The address of a repository that only its owner sees."""
        owner = self.shop.gitlab.person("owner")
        return self.shop.gitlab.project("acme/vault", {owner: DEVELOPER}).clone_url

    async def beside(self, thread: Any) -> list[str]:
        """What the statuses of its newest commit say."""
        found = self.shop.project.statuses
        return [str(one.description) for one in found if one.sha == thread.sha]


class PolledGitLabTalk(GitLabTalk):
    """The same, of an installation without an address that GitLab could reach."""

    name = "gitlab-polled"

    @property
    def settings(self) -> Mapping[str, Any]:
        told = super().settings["gitlab"]
        return {"gitlab": told.model_copy(update={"webhook_secret": None})}

    async def ready(self) -> None:
        await asked(self.town, "gitlab")


@asynccontextmanager
async def gitlab_talk(
    town: Town, _: Any, made: type[GitLabTalk] = GitLabTalk
) -> AsyncIterator[GitLabTalk]:
    async with (
        open_shop() as shop,
        postman(random.Random(0), fates=("once",)) as carries,
        letter_box(carries) as box,
    ):
        if made is GitLabTalk:
            shop.gitlab.hook(shop.project, box, signing_token=SECRET)
        talk = made(shop, carries)
        talk.town = town
        yield talk
