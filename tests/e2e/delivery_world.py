"""An installation with every agent, a Slack and the code hosts to which work is delivered."""

import random
import subprocess
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from bot.store.database import conninfo
from bot.store.ids import new_id
from tests.e2e.installation import Installation
from tests.fakes import git_server
from tests.fakes.github import FakeGitHub
from tests.fakes.github.people import Repository, Thread
from tests.fakes.github.program import Emulator
from tests.fakes.gitlab.people import Person
from tests.fakes.gitlab.server import FakeGitLab
from tests.fakes.gitlab.world import MAINTAINER, Project
from tests.fakes.model import Model, Step, model, script
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.world import Channel, Install, Message
from tests.integration.forge.postman import Postman, postman
from tests.support.aside import Aside, aside

BROKEN = "def add(a, b):\n    return a - b\n"
MENDED = "def add(a, b):\n    return a + b\n"
TEST = """\
import unittest

from calc import add


class TestAdd(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(2, 3), 5)
"""
RUN = "python3 -m unittest 2>&1 | tail -3"
EDIT = "sed -i 's/a - b/a + b/' calc.py"
COMMIT = "git commit -qam 'Add instead of subtracting'"
KEYS = {"anthropic": "sk-ant-worth-stealing", "openai": "sk-worth-stealing-too"}
SENTENCE = "fix the failing test in payments"
Given = TypeVar("Given")


def shell_of(agent: str, command: str) -> dict[str, Any]:
    """How an agent is told to run a command: the name of its tool, and its arguments."""
    if agent == "codex":
        return {"tool": "exec_command", "arguments": {"cmd": command}}
    if agent == "opencode":
        return {"tool": "bash", "arguments": {"command": command, "description": "Runs it"}}
    return {"tool": "Bash", "arguments": {"command": command}}


def mending(agent: str, prompt: str) -> list[dict[str, Any]]:
    """A model that looks at a test, mends what it tests, tests again and commits."""
    ran = (("I look. ", RUN), ("It subtracts. ", EDIT), ("Again. ", RUN), ("I commit. ", COMMIT))
    steps = [Step(says=says, **shell_of(agent, command)) for says, command in ran]
    return script(prompt, *steps, Step(says=f"**Mended** by {agent}: `add` subtracted."))


@dataclass(kw_only=True)
class World:
    """Who talks to it, where its work goes, and what its agents think with."""

    ona: Installation
    provider: Model
    slack: FakeSlack
    bot: Install
    ann: Any
    general: Channel
    github: FakeGitHub
    shop: Repository
    gitlab: FakeGitLab
    us: Person
    """At GitLab."""
    forges: dict[str, str]
    """`github` and `gitlab` ─▶ their addresses, with git and API."""
    root: Path
    """Below it the repositories of both lie."""
    loop: Aside

    def do(self, what: Coroutine[Any, Any, Given]) -> Given:
        """Let people or servers do something on their loop."""
        return self.loop.run(what)

    def asks(self, text: str) -> Message:
        """Ann says it in Slack."""
        return self.loop.call(
            lambda: self.ann.says(self.general, f"{self.bot.user.mention} {text}")
        )

    def posts(self, asked: Message) -> list[str]:
        """What we said in the thread of a message, without what is deleted."""
        there = [one for one in self.general.thread(asked.place) if one.author is self.bot.user]
        return [one.text for one in there if not one.deleted]

    def pulls(self) -> list[dict[str, Any]]:
        """Those at GitHub, the oldest first."""
        path = f"/repos/{self.shop.name}/pulls?state=all&direction=asc"
        found: list[dict[str, Any]] = self.do(self.github.ann.asks("GET", path))
        return found

    def thread(self, number: int) -> Thread:
        """One of them, to talk on."""
        return Thread(repository=self.shop, number=number, by=self.github.ann)

    def shown(self, host: str, repository: str, ref: str) -> str:
        """What stands in calc.py at a commit or on a branch."""
        where = str(self.root / host / f"{repository}.git")
        words = ["git", "-c", "safe.directory=*", "-C", where, "show", f"{ref}:calc.py"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def log(self, host: str, repository: str, branch: str) -> list[list[str]]:
        """Subject, author and trailers of what a branch has over `main`, the newest first."""
        where = str(self.root / host / f"{repository}.git")
        form = "--format=%s%x00%an%x00%(trailers:only,unfold)"
        words = ["git", "-c", "safe.directory=*", "-C", where, "log", "-z", form, f"main..{branch}"]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        fields = said.split("\0")
        return [fields[at : at + 3] for at in range(0, len(fields) - 2, 3)]

    def lab(self) -> Project:
        """A repository at GitLab, and a project of ours for it; the same each time."""
        if self.gitlab.projects:
            return self.gitlab.projects[0]
        made = self.gitlab.project("acme/lab", {self.us: MAINTAINER})
        made.git = bare(self.root / "gitlab" / "acme" / "lab.git")
        new = {"name": "lab", "repository_url": f"{self.forges['gitlab']}/acme/lab.git"}
        self.ona.request("POST", "/projects", json=new)
        return made


def broken(directory: Path) -> Path:
    """A repository whose only test fails."""
    directory.mkdir(parents=True)
    (directory / "calc.py").write_text(BROKEN)
    (directory / "test_calc.py").write_text(TEST)
    (directory / ".gitignore").write_text("__pycache__/\n")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "First"]):
        subprocess.run(["git", *identity, *words], cwd=directory, check=True)
    return directory


def bare(at: Path) -> Path:
    """The same as a bare one, to which can be pushed."""
    work = broken(at.with_suffix(".work"))
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(at)], check=True)
    subprocess.run(["git", "-C", str(at), "config", "http.receivepack", "true"], check=True)
    return at


@asynccontextmanager
async def hub(emulator: Emulator, root: Path) -> AsyncIterator[tuple[FakeGitHub, Repository]]:
    """A GitHub with a repository in which Ann may write."""
    async with FakeGitHub(emulator) as github:
        shop = await github.repository()
        await shop.let(github.ann, "write")
        github.git = root
        bare(root / f"{shop.name}.git")
        yield github, shop


@asynccontextmanager
async def carrier() -> AsyncIterator[Postman]:
    """Who brings us each of GitHub's deliveries once."""
    async with postman(random.Random(0), fates=("once",)) as carries:
        yield carries


def know(database_url: str, accounts: Sequence[tuple[str, str]]) -> None:
    """Ann is one person with all of these accounts: (surface, account) each."""
    with psycopg.connect(conninfo(database_url)) as connection:
        ann = new_id()
        connection.execute("INSERT INTO person (id, name) VALUES (%s, 'Ann')", [ann])
        for surface, account in accounts:
            connection.execute(
                "INSERT INTO identity (id, person_id, surface, external_id, name)"
                " VALUES (%s, %s, %s, %s, 'ann')",
                [new_id(), ann, surface, account],
            )


@contextmanager
def world_of(
    tmp_path: Path, database_url: str, emulator: Emulator, *scripts: Sequence[dict[str, Any]]
) -> Iterator[World]:
    """All of it, in a directory; every model answers by these scripts."""
    root = tmp_path / "git"
    with ExitStack() as stack:
        provider = stack.enter_context(model(*scripts))
        loop = stack.enter_context(aside())
        slack = loop.enter(stack, FakeSlack())
        github, shop = loop.enter(stack, hub(emulator, root / "github"))
        gitlab = loop.enter(stack, FakeGitLab())
        carries = loop.enter(stack, carrier())
        github.hooks.subscriber = carries.carry
        us = gitlab.person("ona", is_bot=True)

        def of_github(given: str) -> bool:
            return given.partition(":")[2] in github.tokens._installed

        def of_gitlab(given: str) -> bool:
            known = [us, *(one for project in gitlab.projects for one in project.tokens)]
            return given in {f"oauth2:{one.token}" for one in known}

        places = {
            "github": git_server.serve(root / "github", of_github, api=github.url),
            "gitlab": git_server.serve(root / "gitlab", of_gitlab, api=gitlab.url),
        }
        forges = {name: f"http://{stack.enter_context(place)}" for name, place in places.items()}
        team = slack.workspace("acme")
        bot = slack.install(team)
        ann = slack.person(team, "ann")
        general = slack.channel(team, "general", ann, bot.user)
        host = forges["github"].partition("://")[2]
        number = str(loop.run(github.ann.id()))
        know(database_url, [(f"slack:{team.id}", ann.id), (f"github:{host}", number)])
        key = tmp_path / "github.pem"
        key.write_text(github.private_key)
        (app_token,) = slack.app.app_tokens
        nowhere = tmp_path / "nowhere"
        nowhere.mkdir()
        ona = Installation(
            data=tmp_path / "data",
            repository=nowhere,
            # A program of 400 MB is read under emulation first.
            step_seconds_max=900.0,
            settings={
                "ONA_DATABASE__URL": database_url,
                "ONA_AGENTS__INSTALLED": "claude-code,codex,opencode",
                "ONA_MODELS__ANTHROPIC__URL": provider.url,
                "ONA_MODELS__ANTHROPIC__KEY": KEYS["anthropic"],
                "ONA_MODELS__OPENAI__URL": provider.url,
                "ONA_MODELS__OPENAI__KEY": KEYS["openai"],
                "ONA_MACHINE__IDLE_SECONDS": "20",
                "ONA_SIZES__MEDIUM__MEMORY_MIB": "1024",
                "ONA_SLACK__BOT_TOKEN": bot.token,
                "ONA_SLACK__APP_TOKEN": app_token,
                "ONA_SLACK__API_URL": slack.api_url,
                "ONA_GITHUB__APP_ID": str(github.app.id),
                "ONA_GITHUB__PRIVATE_KEY_FILE": str(key),
                "ONA_GITHUB__WEBHOOK_SECRET": github.hooks.secret,
                "ONA_GITHUB__URL": forges["github"],
                "ONA_GITHUB__API_URL": f"{forges['github']}/api/v3",
                "ONA_GITLAB__URL": forges["gitlab"],
                "ONA_GITLAB__TOKEN": us.token,
            },
        )
        carries.url = f"http://127.0.0.1:{ona.port}/hooks/github"
        stack.callback(ona.end)
        ona.start()
        ona.until_ready()
        new = {"name": "shop", "repository_url": f"{forges['github']}/{shop.name}.git"}
        ona.request("POST", "/projects", json=new)
        yield World(
            ona=ona,
            provider=provider,
            slack=slack,
            bot=bot,
            ann=ann,
            general=general,
            github=github,
            shop=shop,
            gitlab=gitlab,
            us=us,
            forges=forges,
            root=root,
            loop=loop,
        )
