"""A session that has worked in a machine, and the code host that its work goes to."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from adapters.forge.port import PullRequests
from bot.govern.audit import Source
from bot.govern.policy import set_policy
from bot.store.states import TurnState
from bot.work.delivery import Delivery
from bot.work.delivery_means import DeliveryForge, DeliveryMeans
from bot.work.delivery_words import KEEP
from bot.work.lease import Lease, OpenTurn
from bot.work.materials import Materials
from bot.work.queue import Event
from bot.work.remote import Logins
from bot.work.repository import Repositories, clone_into
from bot.work.workplace import BesideAt, Workplace
from tests.fakes import git_tree
from tests.fakes.git_server import head_of
from tests.fakes.local_machine import LocalMachine
from tests.integration.conftest import DEMO, Town

FILES = {b"README": b"hello\n", b"src/a": b"a\n"}
_POINT = text("UPDATE project SET repository_url = :url")


def bare(at: Path, files: git_tree.Files = FILES) -> Path:
    """A bare repository with one commit on `main`."""
    work = at.with_name(f"{at.name}.work")
    git_tree.make(work, files)
    subprocess.run(
        ["git", "clone", "-q", "--bare", str(work), str(at)], check=True, capture_output=True
    )
    git_tree.git(at, "config", "http.receivepack", "true")
    shutil.rmtree(work)
    return at


@dataclass(kw_only=True)
class Desk:
    """Everything of one delivery."""

    town: Town
    root: Path
    origin: Path
    """The bare repository that is pushed to."""
    delivery: Delivery
    lease: Lease
    turn: OpenTurn
    machine: LocalMachine
    repositories: Repositories
    url: str
    answers: list[str] = field(default_factory=list)
    """What people answer to what they are asked, one after the other; then they keep all back."""
    asked: list[str] = field(default_factory=list)
    beside: tuple[BesideAt, ...] = ()

    @property
    def directory(self) -> Path:
        return self.machine.directory

    async def ask(self, _key: str, question: str, choices: Sequence[str]) -> str:
        assert KEEP in choices
        self.asked.append(question)
        return self.answers.pop(0) if self.answers else KEEP

    async def deliver(self) -> list[Event]:
        place = Workplace(
            jobs=None,
            directory=str(self.directory),
            materials=Materials(self.machine),
            machine=self.machine,
            beside=self.beside,
        )
        return list(await self.delivery.deliver(self.lease, self.turn, place, self.ask))

    async def told(self) -> list[dict]:
        """What the session was told of deliveries."""
        rows = await self.town.rows(
            "SELECT body FROM turn_event WHERE kind = 'delivered' ORDER BY number"
        )
        return [body for (body,) in rows]

    def at(self, branch: str) -> str:
        return head_of(self.origin, branch)

    def log(self, branch: str, form: str) -> list[str]:
        said = git_tree.git(self.origin, "log", f"--format={form}", f"main..{branch}")
        return said.decode().splitlines()

    async def policy(self, source: str) -> None:
        async with self.town.database.begin() as tx:
            by = Source(person_id=None, who="test", surface="test")
            await set_policy(tx, DEMO, source, name="policy.toml", by=by)

    async def clone(self) -> None:
        await self.repositories.update(DEMO, self.url)
        await clone_into(
            self.machine,
            self.repositories,
            DEMO,
            await self.repositories.base(DEMO, None),
            branch=self.lease.branch,
            directory=str(self.directory),
            origin_url=self.url,
        )

    def push_from_elsewhere(self, branch: str, files: git_tree.Files) -> str:
        """Somebody else commits on a branch, and pushes it."""
        elsewhere = self.root / "elsewhere"
        shutil.rmtree(elsewhere, ignore_errors=True)
        git_tree.git(self.root, "clone", "-q", str(self.origin), str(elsewhere))
        if self.at(branch):
            git_tree.git(elsewhere, "checkout", "-q", branch)
        else:
            git_tree.git(elsewhere, "checkout", "-q", "-b", branch)
        commit = git_tree.commit(elsewhere, files, "Theirs")
        git_tree.git(elsewhere, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return commit


async def claimed(
    town: Town, words: str = "fix the failing test in payments", *, by: str = "Ann"
) -> tuple:
    """A session with a turn under way; its lease and the turn."""
    await town.say(words, by=by)
    queue = town.queue("w")
    lease = await queue.claim()
    assert lease is not None
    turn = await queue.begin_turn(lease, None)
    assert turn is not None
    lease.agent = "claude-code"
    return lease, turn


async def next_turn(desk: Desk, words: str, *, by: str = "Ann") -> None:
    """The turn ends, and another one begins."""
    queue = desk.town.queue("w")
    await queue.finish(desk.lease, desk.turn, TurnState.SUCCEEDED, {})
    desk.lease, desk.turn = await claimed(desk.town, words, by=by)


async def say(desk: Desk, *events: Event) -> None:
    """Let the turn have these events."""
    for number, event in enumerate(events, start=desk.turn.batches + 1):
        await desk.town.queue("w").record(desk.lease, desk.turn, [event], batch=number)


async def point(town: Town, url: str) -> None:
    """Let the project have this repository."""
    async with town.database.begin() as tx:
        await tx.execute(_POINT, {"url": url})


async def open_desk(
    town: Town,
    root: Path,
    origin: Path,
    url: str,
    forges: Sequence[DeliveryForge] = (),
    *,
    read_by: Logins | None = None,
    **means,
) -> Desk:
    """A session on the repository at `url`, cloned into a machine."""
    await point(town, url)
    lease, turn = await claimed(town)
    (root / "machine").mkdir()
    repositories = Repositories(root / "mirrors", logins=read_by)
    delivery = Delivery(
        DeliveryMeans(
            database=town.database,
            repositories=repositories,
            directory=root / "deliveries",
            forges=forges,
            **means,
        )
    )
    desk = Desk(
        town=town,
        root=root,
        origin=origin,
        delivery=delivery,
        lease=lease,
        turn=turn,
        machine=LocalMachine(root / "machine"),
        repositories=repositories,
        url=url,
    )
    await desk.clone()
    return desk


def forge_of(
    surface: str, pulls: PullRequests, base: str, tokens: dict[UUID, object] | None = None
) -> DeliveryForge:
    """A code host whose repositories lie below `base`, and whose API is elsewhere."""

    @asynccontextmanager
    async def login(_name: str) -> AsyncIterator[None]:
        yield None

    async def token_of(person_id: UUID):
        return (tokens or {}).get(person_id)

    def name_of(url: str) -> str | None:
        return url.removeprefix(f"{base}/").removesuffix(".git") if url.startswith(base) else None

    return DeliveryForge(
        surface=surface,
        host="github.com" if surface == "github" else "gitlab.example",
        git_base=base,
        name_of=name_of,
        pulls=pulls,
        login=login,
        token_of=token_of,
    )


def bare_imported(at: Path, files: git_tree.Files) -> Path:
    """The same of many files, which never lie in a work tree."""
    git_tree.git(at.parent, "init", "-q", "--bare", "-b", "main", str(at))
    parts = [b"commit refs/heads/main\ncommitter T <t@example.org> 0 +0000\ndata 5\nFirst\n"]
    parts += [
        b"M 100644 inline %b\ndata %d\n%b\n" % (path, len(data), data)
        for path, data in files.items()
    ]
    subprocess.run(
        ["git", "-C", str(at), "fast-import", "--quiet"], input=b"".join(parts), check=True
    )
    return at
