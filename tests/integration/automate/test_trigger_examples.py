"""What docs/automation-triggers.md says comes of its examples comes of them, in their order."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from adapters.chat.incoming import Author, Happened, Said, Spot
from adapters.forge.port import Permission
from bot.automate import automation_rows, automations
from bot.automate.automations import By
from bot.automate.files import folders
from bot.automate.files.folders import Taken
from bot.automate.files.parsing import read
from bot.automate.triggers.forge_events import ForgeEvents
from bot.automate.triggers.hook_checks import Delivery
from bot.automate.triggers.hook_intake import HookIntake
from bot.automate.triggers.hook_secrets import HookSecrets
from bot.conversation.addressing import Hearing, ThreadFacts
from bot.conversation.overhearing import Overhearing
from bot.govern import people
from bot.govern.audit import Source
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.ids import new_id
from scheduler import due_rows
from scheduler.clock import LEASE_SECONDS, Clock
from scheduler.leader import Leader
from tests.fakes.forge import KnowingForge
from tests.integration.automate.happenings import due, end, taking
from tests.integration.automate.rig import project, running
from tests.integration.conftest import DEMO, Town
from tests.support import examples

FILES = examples.DOCS / "examples" / "automations"
PAGE = (examples.DOCS / "automation-triggers.md").read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.partition("## Examples")[2].splitlines()
    if line.startswith("| `")
]
SET_OFF_BY_HAND = {"renew-licences.yml"}
ANN = Author(account="forge.test", id="7", name="ann")
GUS = Author(account="forge.test", id="8", name="gus")
PULL = Happened(
    surface="forge",
    delivery="d",
    key="pull_request/12/opened",
    kind="pull_request",
    action="opened",
    repository="acme/demo",
    url="https://forge.test/acme/demo.git",
    author=ANN,
    opened_by="ann",
    number=12,
    branch="work",
    base="main",
    default_branch="main",
    commit="a" * 40,
    at=datetime.now(UTC) + timedelta(hours=1),
)
RED = replace(
    PULL,
    key="ci/a/unit",
    kind="ci_failed",
    action="",
    number=0,
    branch="main",
    base="",
    author=None,
)
ISSUE = replace(
    PULL,
    key="issue/5/needs-triage",
    kind="issue_labelled",
    action="",
    number=5,
    branch="",
    base="",
    detail="needs-triage",
)
PUSH = replace(
    PULL, key="push/release/2/a..b", kind="push", action="", number=0, branch="release/2", base=""
)
SPOT = Spot(surface="slack", channel="T1/C9", place="T1/C9/1.1")
FAILED = {"event": "deployment", "deployment": {"status": "failed"}}
MADE = "SELECT automation.name, count(*) FROM run JOIN automation ON automation.id = automation_id"


class Examples:
    """A project whose folder holds the examples, all of them approved."""

    def __init__(self, town: Town, forge: KnowingForge) -> None:
        self.town = town
        self._rights = Rights(town.database, {"forge": forge})
        self._happen = ForgeEvents(town.database, self._rights).take
        self._hook = ("", "")

    async def approve(self) -> None:
        """Read the folder, and let all of it count."""
        await self._read()
        for path in sorted(FILES.iterdir()):
            made = await HookSecrets().make()
            async with self.town.database.begin() as tx:
                who = await standing_of(tx, self.town.people["Ann"])
                row = await automation_rows.find(tx, path.stem)
                by = By(who=who, source=Source.of(who, "web"), rights=self._rights)
                sealed = [made.sealed] if path.stem == "deploy-hook" else []
                counts = await automations.approve(tx, by, row, row.proposed_digest, sealed=sealed)
            if counts.webhooks:
                self._hook = (counts.webhooks[0], made.secret.get_secret_value())
        await self.town.database.run(
            text("UPDATE automation_trigger SET match = 'slack:T1/C9' WHERE kind = 'message'")
        )

    async def _read(self) -> None:
        # The day of the example passes one day.
        files = [
            read(path.name, path.read_bytes().replace(b"2026-12-24", b"2099-12-24"))
            for path in sorted(FILES.iterdir())
        ]
        async with self.town.database.begin() as tx:
            await folders.take(tx)
            now = await due_rows.now(tx)
            taken = Taken(project_id=DEMO, project="demo", url="", commit="", as_of=now)
            plan = await folders.sync(tx, taken, "c" * 40, files)
        assert plan is not None
        assert {one["kind"] for one in plan.files} == {"automation"}

    async def deliver(self, body: dict) -> None:
        """Deliver it to the webhook."""
        short, secret = self._hook
        headers = {"authorization": f"Bearer {secret}"}
        delivery = Delivery(headers=headers, body=json.dumps(body).encode(), at=time.time())
        await HookIntake(self.town.database, HookSecrets()).take(short, delivery)

    async def happen(self, *happened: Happened) -> None:
        """Let it happen on the code host."""
        for one in happened:
            await self._happen(one)

    async def open_by_run(self) -> None:
        """Let the run that went before open a pull request from the branch of its session."""
        await running(self.town).once()
        branch = await self.town.value("SELECT branch FROM session WHERE title LIKE 'mend-%'")
        await self.happen(replace(PULL, key="pull_request/11/opened", number=11, branch=branch))

    async def say(self, words: str) -> None:
        """Begin a thread with it in the watched channel."""
        said = Said(
            spot=SPOT, author=ANN, delivery="d", key="k", ref="1.1", text=words, to_us=False
        )
        overhearing = Overhearing(self.town.database)
        await overhearing.take(said, ThreadFacts(), Hearing.IGNORE)

    async def come_friday(self) -> None:
        """Let it be the next time of the weekly summary."""
        ((schedule_id, at),) = await self.town.rows(
            "SELECT schedule.id, to_char(due_at AT TIME ZONE 'Europe/Berlin', 'FMDay HH24:MI')"
            " FROM schedule JOIN automation_trigger ON schedule_id = schedule.id"
            " WHERE automation_trigger.kind = 'cron'"
        )
        assert at == "Friday 16:00"
        await self.town.rows(
            "UPDATE schedule SET due_at = now(), fire_at = now() WHERE id = :id RETURNING id",
            id=schedule_id,
        )
        leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)
        await Clock(self.town.database.begin, leader, new_id=new_id).tick()

    async def succeed(self) -> None:
        """Let the run of the weekly summary come to a good end."""
        run_id: UUID = await self.town.value(
            "SELECT id FROM run WHERE name = 'weekly-summary' AND settled_at IS NULL"
        )
        await end(self.town, run_id, "done")

    async def came(self) -> tuple[dict[str, int], int, list[str]]:
        """Runs by the name of their automation, events, and which runs are to make way."""
        await due(self.town)
        await taking(self.town).once()
        runs = dict(await self.town.rows(f"{MADE} GROUP BY 1"))
        events = await self.town.value("SELECT count(*) FROM trigger_event")
        stops = "SELECT name FROM run WHERE stop_why = 'cancelled'"
        return runs, events, [name for (name,) in await self.town.rows(stops)]

    async def last_why(self) -> str:
        """Why nothing came of what happened last."""
        return await self.town.value(
            "SELECT why FROM trigger_event ORDER BY created_at DESC, id DESC LIMIT 1"
        )


Deed = Callable[[Examples], Awaitable[None]]
DEEDS: dict[str, Deed] = {
    "a deployment that failed is delivered": lambda one: one.deliver(FAILED),
    "the same is delivered again": lambda one: one.deliver(FAILED),
    "a deployment that went well is delivered": lambda one: one.deliver(
        {"event": "deployment", "deployment": {"status": "done"}}
    ),
    "the checks of `main` fail": lambda one: one.happen(RED),
    "they fail again while that run goes on": lambda one: one.happen(
        replace(RED, key="ci/b/unit", commit="b" * 40)
    ),
    "the checks of `work` fail": lambda one: one.happen(
        replace(RED, key="ci/c/unit", branch="work")
    ),
    "that run opens a pull request into `main`": lambda one: one.open_by_run(),
    "another one is opened, and updated within two minutes": lambda one: one.happen(
        PULL, replace(PULL, key="pull_request/12/b", action="updated")
    ),
    "it is updated once more while that run goes on": lambda one: one.happen(
        replace(PULL, key="pull_request/12/c", action="updated")
    ),
    "one into `work` is opened": lambda one: one.happen(
        replace(PULL, key="pull_request/13/opened", number=13, base="work")
    ),
    "who may write labels an issue `needs-triage`": lambda one: one.happen(ISSUE),
    "who may only read labels another one so": lambda one: one.happen(
        replace(ISSUE, key="issue/6/needs-triage", number=6, author=GUS)
    ),
    "“the export is broken: timeout” begins a thread in #support": lambda one: one.say(
        "the export is broken: timeout"
    ),
    "it is Friday, 16:00 in Berlin": lambda one: one.come_friday(),
    "that run succeeds": lambda one: one.succeed(),
    "somebody pushes to `release/2`": lambda one: one.happen(PUSH),
}
A_RUN, PLACE_TAKEN = "a run", "a run; the one before is stopped"
KNOWN, NOTHING, DROPPED = "nothing: it is known", "nothing", "nothing: "


@pytest.fixture
async def forge():
    forge = KnowingForge()
    forge.levels = {
        ("acme/demo", ANN.id): Permission.WRITE,
        ("acme/demo", GUS.id): Permission.READ,
    }
    yield forge
    await forge.close()


@pytest.fixture
async def done(town, forge):
    """The examples, approved by Ann, who is an operator."""
    url = "https://forge.test/acme/demo.git"
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=url)
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :ann, 'local', '0', 'ann') RETURNING id",
        id=new_id(),
        ann=town.people["Ann"],
    )
    for name in ("shop", "billing"):
        await project(town, name)
    async with town.database.begin() as tx:
        await people.add_person(tx, "release-bot", is_service=True)
    done = Examples(town, forge)
    await done.approve()
    return done


def test_every_example_of_the_page_is_done_and_every_file_has_one():
    assert [what for _, what, _ in ROWS] == list(DEEDS)
    named = {file.strip("`") for file, *_ in ROWS}
    assert named == {path.name for path in FILES.iterdir()} - SET_OFF_BY_HAND


async def test_what_the_page_says_comes_of_its_examples(done):
    runs, events, stopped = await done.came()
    assert runs == {}
    for file, what, comes in ROWS:
        name = file.strip("`").rpartition(".")[0]
        await DEEDS[what](done)
        runs_now, events_now, stopped_now = await done.came()
        more = {one: count - runs.get(one, 0) for one, count in runs_now.items()}
        made = {one: count for one, count in more.items() if count}
        assert made == ({name: 1} if comes.startswith(A_RUN) else {}), what
        if comes in {NOTHING, KNOWN}:
            assert events_now == events, what
        elif comes.startswith(DROPPED):
            assert await done.last_why() == comes.removeprefix(DROPPED).strip("`"), what
        expected = [*stopped, name] if comes == PLACE_TAKEN else stopped
        assert stopped_now == expected, what
        runs, events, stopped = runs_now, events_now, stopped_now
