"""The checks of a pushed commit become a word, a prompt or a question, once; on both forges."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.chat.incoming import Checked
from adapters.chat.port import Deadline, Live, Throttled
from adapters.forge.checking import Check, Checks, CheckState
from adapters.forge.github.app import App
from adapters.forge.github.ci import GitHubChecks
from adapters.forge.gitlab.ci import GitLabChecks
from adapters.forge.gitlab.hooks import read
from bot.conversation.ci_watch import CiForge, CiWatch
from bot.conversation.hearing import Chats
from bot.govern import halting
from bot.govern.halt import Scope
from bot.govern.rights import Rights
from bot.store.ids import new_id
from bot.store.states import TurnState
from bot.work import pulls
from bot.work.branches import BranchRows
from bot.work.lease import Lease, OpenTurn
from tests.fakes.github import Bad as GitHubBad
from tests.fakes.github import FakeGitHub
from tests.fakes.github.program import Emulator
from tests.integration.conftest import Town
from tests.integration.forge.gitlab_rig import Shop, open_shop

PROMPTS = """
    SELECT delivery.text, delivery.quoted FROM prompt
      JOIN delivery ON delivery.prompt_id = prompt.id
     WHERE delivery.surface = 'ci' ORDER BY prompt.created_at
"""
TOLD = "SELECT body ->> 'text' FROM turn_event WHERE kind = 'ci' ORDER BY number"
FAILING = "SELECT body -> 'failing' FROM turn_event WHERE kind = 'ci' ORDER BY number"
LOG = "E   assert 1 == 2\nFAILED tests/test_pay.py::test_total"


def soon() -> Deadline:
    return Deadline.after(20)


def by_name(checks: list[Check]) -> dict[str, CheckState]:
    return {one.name: one.state for one in checks}


# -- what is read ------------------------------------------------------------------------------


async def test_on_github_the_newest_runs_of_others_and_statuses_are_read(
    github, app, desk, shop, pull
) -> None:
    head = await pull.head()
    await desk.show(pull, Live.RUNNING)
    await github.ci.runs(shop, head, "slow")
    for how in ("success", "neutral", "skipped", "failure", "timed_out", "cancelled"):
        await github.ci.runs(shop, head, how, how)
    github.ci.says(shop, head, "outside", "pending")
    github.ci.says(shop, head, "outside", "failure", description="broken")
    found = await GitHubChecks(app).of(shop.name, head, "b", soon())
    assert by_name(found) == {
        "slow": CheckState.PENDING,
        **dict.fromkeys(("success", "neutral", "skipped"), CheckState.PASSED),
        **dict.fromkeys(("failure", "timed_out", "outside"), CheckState.FAILED),
        "cancelled": CheckState.STOPPED,
    }


async def test_on_github_a_log_comes_from_the_store_without_our_token(
    github, app, shop, pull
) -> None:
    checks, head = GitHubChecks(app), await pull.head()
    run = await github.ci.runs(shop, head, "unit", "failure", log="\n".join(["x"] * 9_000 + [LOG]))
    (check,) = await checks.of(shop.name, head, "b", soon())
    assert (await checks.log(shop.name, check, soon())).endswith(LOG)
    assert github.ci.shown == [""]
    github.ci.may_read_actions = False
    github.ci.annotations[run] = [
        {"path": "a.py", "start_line": 3, "annotation_level": "failure", "message": "no"}
    ]
    assert await checks.log(shop.name, check, soon()) == "a.py:3: failure: no"


async def test_on_github_what_is_no_job_says_what_it_says_of_itself(
    github, app, shop, pull
) -> None:
    checks, head = GitHubChecks(app), await pull.head()
    await github.ci.runs(shop, head, "lint", "failure", summary="3 errors")
    github.ci.says(shop, head, "deploy", "error", description="no room")
    found = await checks.of(shop.name, head, "b", soon())
    said = {one.name: await checks.log(shop.name, one, soon()) for one in found}
    assert said == {"lint": "lint\n3 errors", "deploy": "no room"}


@pytest.fixture
async def gitlab() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        shop.request.branch = "ona/s-1"
        yield shop


async def test_on_gitlab_jobs_and_statuses_are_read_with_their_traces(gitlab: Shop) -> None:
    request, checks = gitlab.request, GitLabChecks(gitlab.client)
    await gitlab.state(Live.RUNNING, "ours")
    gitlab.gitlab.job(request, "unit", "failed", trace="old")
    gitlab.gitlab.job(request, "unit", "failed", trace=LOG)
    gitlab.gitlab.job(request, "flaky", "failed", allow_failure=True)
    gitlab.gitlab.job(request, "lint", "success")
    gitlab.gitlab.job(request, "slow", "running")
    gitlab.gitlab.job(request, "gate", "manual")
    gitlab.gitlab.job(request, "outside", "failed").description = "broken"
    found = await checks.of("acme/api", request.sha, "ona/s-1", soon())
    assert by_name(found) == {
        **dict.fromkeys(("unit", "outside"), CheckState.FAILED),
        **dict.fromkeys(("flaky", "lint"), CheckState.PASSED),
        "slow": CheckState.PENDING,
        "gate": CheckState.STOPPED,
    }
    said = {one.name: await checks.log("acme/api", one, soon()) for one in found}
    assert (said["unit"], said["outside"]) == (LOG, "broken")


# -- what follows ------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Yard:
    """A session that pushes to a code host, and who follows its checks."""

    town: Town
    checks: Checks
    surface: str
    host: str
    name: str
    push: Any
    """Makes a commit of ours; its id."""
    red: Any
    green: Any

    def watch(self, rounds_max: int = 3) -> CiWatch:
        forge = CiForge(surface=self.surface, host=self.host, checks=self.checks)
        rights = Rights(self.town.database, {})
        return CiWatch(self.town.database, forge, rights, rounds_max=rounds_max)

    async def begin(self) -> tuple[Lease, OpenTurn]:
        queue = self.town.queue("w")
        lease = await queue.claim()
        assert lease is not None
        turn = await queue.begin_turn(lease, None)
        assert turn is not None
        return lease, turn

    async def turn(self, state: TurnState = TurnState.SUCCEEDED) -> str:
        """Let the turn that waits push a commit, and end; the commit."""
        lease, turn = await self.begin()
        commit = await self.push()
        await self.pushed(lease, commit)
        await self.town.queue("w").finish(lease, turn, state, {})
        return str(commit)

    async def pushed(self, lease: Lease, commit: str) -> None:
        rows = BranchRows(self.town.database)
        ref = f"refs/heads/{lease.branch}"
        await rows.moved(lease.session_id, f"{self.surface}:{self.host}/{self.name}", {ref: commit})

    async def ask(self, words: str = "mend it") -> None:
        await self.town.say(words)
        await self.town.rows("UPDATE session SET agent = 'coder' RETURNING id")

    async def look(self, *, minutes: int = 2, **how: Any) -> None:
        """Look at what was pushed so many minutes ago."""
        await self.town.rows(
            "UPDATE ci_watch SET due_at = now(), since = now() - make_interval(mins => :minutes)"
            " RETURNING ref",
            minutes=minutes,
        )
        await self.watch(**how).look()

    async def told(self) -> list[str]:
        return [said for (said,) in await self.town.rows(TOLD)]

    async def prompts(self) -> list[tuple[str, list[dict[str, str]]]]:
        return [tuple(row) for row in await self.town.rows(PROMPTS)]


@pytest.fixture(params=["github", "gitlab"])
async def yard(
    request: pytest.FixtureRequest, town: Town, github_emulator: Emulator
) -> AsyncIterator[Yard]:
    if request.param == "gitlab":
        async with open_shop() as shop:
            yield _on_gitlab(town, shop)
        return
    async with FakeGitHub(github_emulator) as github:
        shop = await github.repository()
        with closing(_app(github)) as app:
            yield _on_github(town, github, app, shop, await shop.pull())


def _app(github: FakeGitHub) -> App:
    return App(app_id=str(github.app.id), private_key=github.private_key, api_url=github.url)


def _on_github(town: Town, github: Any, app: Any, shop: Any, pull: Any) -> Yard:
    async def red(commit: str, name: str = "unit") -> None:
        await github.ci.runs(shop, commit, name, "failure", log=LOG)

    async def green(commit: str, name: str = "unit") -> None:
        await github.ci.runs(shop, commit, name, "success")

    return Yard(
        town=town,
        checks=GitHubChecks(app),
        surface="github",
        host=github.url.partition("://")[2],
        name=shop.name.lower(),
        push=pull.push,
        red=red,
        green=green,
    )


def _on_gitlab(town: Town, shop: Shop) -> Yard:
    async def push() -> str:
        # Its branch is the session's.
        shop.request.branch = await town.value("SELECT branch FROM session")
        shop.request.heads.append(shop.gitlab.new_sha())
        return shop.request.sha

    async def red(_: str, name: str = "unit") -> None:
        shop.gitlab.job(shop.request, name, "failed", trace=LOG)

    async def green(_: str, name: str = "unit") -> None:
        shop.gitlab.job(shop.request, name, "success")

    return Yard(
        town=town,
        checks=GitLabChecks(shop.client),
        surface="gitlab",
        host=shop.client.host,
        name="acme/api",
        push=push,
        red=red,
        green=green,
    )


async def test_a_red_commit_becomes_one_prompt_of_its_asker_with_the_log(yard: Yard) -> None:
    await yard.ask()
    commit = await yard.turn()
    await yard.look()
    assert await yard.prompts() == []
    await yard.red(commit)
    await yard.green(commit, "lint")
    await yard.look()
    ((said, quoted),) = await yard.prompts()
    assert f"Checks of the commit {commit[:12]}" in said
    assert [(one["author"], one["text"]) for one in quoted] == [("unit", LOG)]
    author, thread = (
        await yard.town.rows("SELECT author_id, thread_id FROM prompt ORDER BY position DESC")
    )[0]
    assert author == yard.town.people["Ann"]
    assert thread == await yard.town.value("SELECT id FROM thread")
    await yard.look()
    assert len(await yard.prompts()) == 1
    assert len(await yard.told()) == 1


async def test_many_who_look_at_once_make_one_prompt(yard: Yard) -> None:
    await yard.ask()
    await yard.red(await yard.turn())
    await yard.look(minutes=1)
    await yard.town.rows("DELETE FROM prompt WHERE position > 2000 RETURNING id")
    await yard.town.rows("UPDATE ci_watch SET told = '', rounds = 0, due_at = now() RETURNING ref")
    await yard.town.rows("UPDATE session SET state = 'idle' RETURNING id")
    await yard.town.rows("DELETE FROM delivery WHERE surface = 'ci' RETURNING id")
    await asyncio.gather(*(yard.watch().look() for _ in range(4)))
    assert len(await yard.prompts()) == 1


async def test_after_so_many_rounds_a_person_is_asked(yard: Yard) -> None:
    await yard.ask()
    for number in range(3):
        await yard.red(await yard.turn())
        await yard.look(rounds_max=2)
        assert len(await yard.prompts()) == min(number + 1, 2)
    *rounds, asked = await yard.told()
    assert ["round 1 of 2" in rounds[0], "round 2 of 2" in rounds[1]] == [True, True]
    assert "The agent has tried 2 times; somebody has to look at it" in asked
    failing = await yard.town.rows(FAILING)
    assert failing == [(None,), (None,), ([{"check": "unit", "text": LOG}],)]
    await yard.ask("try something else")
    await yard.red(await yard.turn())
    await yard.look(rounds_max=2)
    assert len(await yard.prompts()) == 3


async def test_a_green_commit_is_told_once_and_ends_the_rounds(yard: Yard) -> None:
    await yard.ask()
    await yard.red(await yard.turn())
    await yard.look()
    commit = await yard.turn()
    await yard.green(commit)
    await yard.look()
    await yard.look()
    branch = await yard.town.value("SELECT branch FROM session")
    assert (await yard.told())[1:] == [f"The check of {commit[:9]} on {branch} has passed."]
    assert await yard.town.value("SELECT over FROM ci_watch")


async def test_checks_that_are_run_again_and_fail_again_are_another_round(yard: Yard) -> None:
    await yard.ask()
    commit = await yard.turn()
    await yard.red(commit)
    await yard.look()
    lease, turn = await yard.begin()
    await yard.town.queue("w").finish(lease, turn, TurnState.SUCCEEDED, {})
    await yard.look()
    assert len(await yard.prompts()) == 1
    await yard.red(commit, "other")
    await yard.look()
    assert len(await yard.prompts()) == 2


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (TurnState.STOPPED, "the turn that pushed it was stopped"),
        (TurnState.BUDGET, "the session's budget is used up"),
    ],
)
async def test_after_a_stop_and_without_money_it_is_only_told(
    yard: Yard, state: TurnState, why: str
) -> None:
    await yard.ask()
    await yard.red(await yard.turn(state))
    await yard.look()
    assert await yard.prompts() == []
    (told,) = await yard.told()
    assert told.endswith(f"The agent is not asked to mend them, because {why}.")


async def test_under_a_halt_it_is_only_told(yard: Yard) -> None:
    await yard.ask()
    await yard.red(await yard.turn())
    await yard.town.rows(
        "INSERT INTO halt (id, scope, by_id, why) VALUES (:id, :scope, :by, 'fire') RETURNING id",
        id=new_id(),
        scope=Scope.ALL.value,
        by=yard.town.people["Bo"],
    )
    async with yard.town.database.begin() as tx:
        assert len(await halting.read(tx)) == 1
    await yard.look()
    assert await yard.prompts() == []
    assert "everything is halted by Bo: fire" in (await yard.told())[0]


async def test_who_may_not_prompt_any_more_is_not_prompted_for(yard: Yard) -> None:
    await yard.ask()
    await yard.red(await yard.turn())
    await yard.town.rows(
        "UPDATE person SET deactivated_at = now() WHERE id = :id RETURNING id",
        id=yard.town.people["Ann"],
    )
    await yard.look()
    assert await yard.prompts() == []
    assert "who asked for it may not prompt here any more" in (await yard.told())[0]


async def test_what_somebody_else_pushed_is_theirs(yard: Yard) -> None:
    await yard.ask()
    lease, turn = await yard.begin()
    commit = await yard.push()
    key = f"{yard.surface}:{yard.host}/{yard.name}"
    ref = f"refs/heads/{lease.branch}"
    await BranchRows(yard.town.database).saw(lease.session_id, key, {ref: commit})
    await yard.town.queue("w").finish(lease, turn, TurnState.SUCCEEDED, {})
    await yard.red(commit)
    await yard.watch().look()
    assert await yard.town.rows("SELECT 1 FROM ci_watch") == []
    # Nor is what is pushed while no turn runs.
    await yard.pushed(lease, commit)
    assert await yard.town.rows("SELECT 1 FROM ci_watch") == []


async def test_a_session_that_works_is_left_alone_and_an_undone_turn_too(yard: Yard) -> None:
    await yard.ask()
    await yard.red(await yard.turn())
    await yard.ask("and more")
    await yard.look()
    assert await yard.prompts() == []
    lease, turn = await yard.begin()
    await yard.town.queue("w").finish(lease, turn, TurnState.SUCCEEDED, {})
    await yard.town.rows("UPDATE turn SET undone_by = :by WHERE id <> :by RETURNING id", by=turn.id)
    await yard.look()
    assert await yard.prompts() == []
    await yard.town.rows("UPDATE turn SET undone_by = NULL RETURNING id")
    await yard.look()
    assert len(await yard.prompts()) == 1


async def test_a_commit_without_checks_is_given_up(yard: Yard) -> None:
    await yard.ask()
    await yard.turn()
    await yard.look(minutes=11)
    assert await yard.told() == []
    assert await yard.town.value("SELECT over FROM ci_watch")


async def test_a_forge_that_throttles_is_left_alone_and_one_that_fails_is_asked_again(
    github, app, shop, pull, town
) -> None:
    yard = _on_github(town, github, app, shop, pull)
    await yard.ask()
    await yard.red(await yard.turn())
    github.behave("GET", "/check-runs", GitHubBad(status=502))
    await yard.look()
    assert await town.value("SELECT due_at > now() + interval '50 seconds' FROM ci_watch")
    throttled = GitHubBad(status=429, headers={"retry-after": "7"})
    github.behave("GET", "/check-runs", throttled)
    with pytest.raises(Throttled):
        await yard.look()
    assert await yard.prompts() == []
    await yard.look()
    assert len(await yard.prompts()) == 1


async def test_a_check_that_ends_is_looked_at_at_once(
    *, github, app, shop, pull, hooks, town
) -> None:
    yard = _on_github(town, github, app, shop, pull)
    await yard.ask()
    commit = await yard.turn()
    run = await github.ci.runs(shop, commit, "unit", log=LOG)
    later = "UPDATE ci_watch SET due_at = now() + interval '1 hour' RETURNING ref"
    await town.rows(later)
    chats = Chats(town.database, town.inbox, {}, mention="ona")
    await github.ci.ends(shop, run, "failure")
    payload = {
        "action": "completed",
        "check_run": github.world.checks[shop.name, run],
        "repository": {"full_name": shop.name},
    }
    delivery = await github.hooks.deliver("check_run", payload)
    assert delivery is not None
    await hooks.take(delivery.headers, delivery.body, chats.hear)
    await yard.watch().look()
    assert len(await yard.prompts()) == 1


async def test_a_pipeline_that_ends_is_heard_and_one_that_begins_is_not() -> None:
    def told(status: str, sha: str = "a" * 40) -> object:
        body = {"object_kind": "pipeline", "object_attributes": {"status": status, "sha": sha}}
        headers = {"X-Gitlab-Token": "s"}
        return read(headers, json.dumps(body).encode(), "s", now=0)

    assert told("failed") == Checked(surface="gitlab", commit="a" * 40)
    assert told("running") is None
    assert told("failed", "x") is None


async def test_people_see_how_the_checks_of_the_newest_commit_stand(yard: Yard) -> None:
    town = yard.town
    await yard.ask()
    commit = await yard.turn()
    await town.rows(
        "INSERT INTO pull_request (id, session_id, surface, repository, number, url, state, draft,"
        " head, base, opened_by, asker_id)"
        " SELECT gen_random_uuid(), id, :surface, :name, 7, 'x', 'open', true, branch, 'main',"
        " 'ona', creator_id FROM session RETURNING id",
        surface=yard.surface,
        name=yard.name.upper(),
    )

    async def seen() -> str:
        await yard.look()
        async with town.database.begin() as tx:
            (pull,) = await pulls.of_session(tx, await town.value("SELECT id FROM session"))
        return pull["checks"]

    assert await seen() == ""
    await yard.green(commit)
    assert await seen() == "passed"
    await yard.ask("and more")
    second = await yard.turn()
    async with town.database.begin() as tx:
        (pull,) = await pulls.of_session(tx, await town.value("SELECT id FROM session"))
    assert pull["checks"] == ""
    await yard.red(second)
    assert await seen() == "failed"
