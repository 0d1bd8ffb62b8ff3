"""The harness against an agent that speaks the protocol, as a job of a real guest program."""

import asyncio
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.agent.acp import harness, wire
from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile
from adapters.agent.port import (
    Asked,
    Conversation,
    Ended,
    Failure,
    Server,
    Task,
    Text,
    Thought,
    ToolCall,
)
from bot.work.jobs import ChannelJobs
from tests.fakes.guest import hosted_guest
from vmpool.ssh import Authority

AGENT = Path(__file__).parents[1] / "fakes" / "acp_agent.py"


@pytest.fixture
def guest():
    with hosted_guest() as guest:
        yield guest


@pytest.fixture
async def authority(tmp_path):
    return await Authority.load(tmp_path / "ca")


@pytest.fixture
async def channel(guest, authority):
    channel = await guest.open(authority)
    yield channel
    await channel.close()


class Desk:
    """Runs turns of the agent, and what it was told is in a log."""

    def __init__(self, channel, home: Path) -> None:
        self.channel = channel
        self.home = home

    def task(self, *script: str, id: str = "t1", traits: str = "", **more) -> Task:
        return Task(
            id=id,
            kind="text",
            text="\n".join(script),
            directory=str(self.home),
            environment={"ACP_HOME": str(self.home), "ACP_TRAITS": traits},
            **more,
        )

    async def run(self, task: Task, *, cursor=None, asks: bool = False, mode: str | None = None):
        profile = Profile(name="fake", argv=(sys.executable, str(AGENT)), mode=mode)
        jobs = ChannelJobs(self.channel)
        return await AcpAgent(profile, asks=asks).start(jobs, task, cursor or {})

    async def whole(self, task: Task, **more) -> list:
        """All events of a turn."""
        return [one.event for one in await emitted(await self.run(task, **more))]

    def log(self) -> list[str]:
        path = self.home / "log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def desk(channel, tmp_path) -> Desk:
    home = tmp_path / "home"
    home.mkdir()
    return Desk(channel, home)


async def emitted(run) -> list:
    async with asyncio.timeout(100):
        found = [one async for one in run.events()]
    await run.close()
    return found


def words(events, kind=Text) -> str:
    return "".join(one.text for one in events if isinstance(one, kind))


async def test_a_turn_is_said_thought_and_done(desk):
    events = await desk.whole(
        desk.task("think hm", "say hello ", "tool Run tests", "done", "say world")
    )
    assert isinstance(events[0], Conversation)
    assert (words(events, Thought), words(events)) == ("hm", "hello world")
    tools = [(one.title, one.status) for one in events if isinstance(one, ToolCall)]
    assert tools == [("Run tests", "pending"), ("Run tests", "completed")]
    assert events[-1] == replace(events[-1], succeeded=True, summary="done")
    assert isinstance(events[-1], Ended)
    assert events[-1].seconds is not None
    assert [one.state.value for one in await desk.channel.jobs()] == ["ended"]


async def test_the_next_turn_remembers_and_repeats_nothing_of_the_one_before(desk):
    first = await desk.whole(desk.task("say one"))
    again = desk.task("recall", id="t2", conversation=first[0].id)
    events = await desk.whole(again)
    assert words(events) == "say one\nrecall\n"
    assert "session/new" not in desk.log()[desk.log().index("session/load") :]
    assert not any(isinstance(one, Conversation) for one in events)


async def test_an_agent_that_resumes_and_can_not_load_goes_on(desk):
    first = await desk.whole(desk.task("say one", traits="resumes"))
    again = desk.task("recall", id="t2", conversation=first[0].id, traits="resumes")
    assert words(await desk.whole(again)) == "say one\nrecall\n"
    assert [desk.log().count(f"session/{how}") for how in ("new", "resume", "load")] == [1, 1, 0]
    events = await desk.whole(desk.task("say hi", id="t3", conversation="c-lost", traits="resumes"))
    assert [type(one) for one in events] == [Failure, Conversation, Text, Ended]


OURS = Server(name="ona", url="http://gateway.ona/tools/mcp", headers={"X-One": "1"})


async def test_an_agent_is_told_of_the_servers_in_every_conversation(desk):
    first = await desk.whole(desk.task("say one", servers=(OURS,)))
    again = desk.task("recall", id="t2", conversation=first[0].id, servers=(OURS,))
    await desk.whole(again)
    told = [json.loads(line[8:]) for line in desk.log() if line.startswith("servers ")]
    assert told == 2 * [
        [
            {
                "type": "http",
                "name": "ona",
                "url": "http://gateway.ona/tools/mcp",
                "headers": [{"name": "X-One", "value": "1"}],
            }
        ]
    ]


async def test_an_agent_that_takes_no_servers_over_http_is_told_of_none(desk):
    events = await desk.whole(desk.task("say hi", servers=(OURS,), traits="serverless"))
    assert events[-1].succeeded
    assert "servers []" in desk.log()


async def test_what_can_not_be_loaded_is_said_and_begun_anew(desk):
    events = await desk.whole(desk.task("say hi", conversation="c-lost"))
    assert [type(one) for one in events] == [Failure, Conversation, Text, Ended]
    assert "could not load" in events[0].text
    assert "Resource not found" in events[0].text


async def test_an_agent_that_can_not_load_begins_anew(desk):
    task = desk.task("say hi", conversation="c-1", traits="forgetful")
    events = await desk.whole(task)
    assert [type(one) for one in events] == [Conversation, Text, Ended]


@pytest.mark.parametrize("asks", [False, True])
async def test_mode_and_model_are_set_where_they_are_offered(desk, asks):
    await desk.whole(desk.task("say hi", model="large"), mode="free", asks=asks)
    assert [line for line in desk.log() if line.startswith("mode ")] == ["mode free"]
    assert [line for line in desk.log() if line.startswith("model ")] == ["model large"]


async def test_a_model_that_the_agent_has_not_ends_the_turn_in_words(desk):
    events = await desk.whole(desk.task("say hi", model="huge"))
    assert not events[-1].succeeded
    assert "no model 'huge'; it has small, large" in events[-1].summary
    assert "session/prompt" not in desk.log()


async def test_permission_is_given_where_nobody_is_to_be_asked(desk):
    events = await desk.whole(desk.task("ask rm -rf build", "ask again"))
    assert words(events) == "[a][a]"


@pytest.mark.parametrize(
    ("answer", "chosen"), [("Allow", "a"), ("no", "r"), ("what?", "r"), ("yes", "a")]
)
async def test_a_person_decides_where_one_is_asked(desk, answer, chosen):
    run = await desk.run(desk.task("ask Push to main"), asks=True)
    events = []
    async for one in run.events():
        events.append(one.event)
        if isinstance(one.event, Asked):
            assert one.event.text == "May the agent do this? Push to main"
            assert one.event.choices == ("Allow", "Reject")
            await run.answer(one.event.key, answer)
    await run.close()
    assert words(events) == f"[{chosen}]"


async def test_never_run_twice_a_question_is_answered_by_who_comes_later(desk):
    task = desk.task("say before ", "ask Push", "say after")
    first = await desk.run(task, asks=True)
    cursor, asked = None, None
    async for one in first.events():
        cursor = one.cursor
        if isinstance(one.event, Asked):
            asked = one.event
            break
    await first.close()
    second = await desk.run(task, asks=True, cursor=cursor)
    events = []
    async for one in second.events():
        events.append(one.event)
        if isinstance(one.event, Asked):
            await second.answer(one.event.key, "Allow")
    await second.close()
    assert events[0] == asked
    assert words(events) == "[a]after"
    assert desk.log().count("session/prompt") == 1


async def test_never_run_twice_who_attaches_anywhere_gets_the_rest_and_sends_nothing_again(desk):
    go = desk.home / "go"
    script = ["say one ", "ask x", "chunks 20", f"wait {go}", "say two", "chunks 5"]
    task = desk.task(*script, model="large")
    first = await desk.run(task)
    seen = []
    async for one in first.events():
        seen.append(one)
        if len([x for x in seen if isinstance(x.event, Text)]) == 22:
            break
    await first.close()
    go.touch()
    whole = [one.event for one in seen] + [
        one.event for one in await emitted(await desk.run(task, cursor=seen[-1].cursor))
    ]
    for cut in range(0, len(seen), 3):
        rest = await emitted(await desk.run(task, cursor=seen[cut].cursor))
        assert [one.event for one in seen[: cut + 1]] + [one.event for one in rest] == whole
    assert words(whole).startswith("one [a]0 1 2")
    assert words(whole).endswith("two0 1 2 3 4 ")
    assert [desk.log().count(x) for x in ("start", "initialize", "session/prompt")] == [1, 1, 1]


async def test_who_is_cancelled_says_so(desk):
    run = await desk.run(desk.task("say begun", f"wait {desk.home / 'never'}", "say no"))
    events = []
    async for one in run.events():
        events.append(one.event)
        if isinstance(one.event, Text):
            cancelling = asyncio.ensure_future(run.cancel(grace_seconds=2))
    await cancelling
    await run.close()
    assert words(events) == "begun"
    assert (events[-1].succeeded, events[-1].summary) == (False, "stopped")


async def test_who_ignores_that_is_ended_and_not_later_than_asked(desk):
    task = desk.task("say begun", f"wait {desk.home / 'never'}", traits="deaf")
    graces = []

    class Noted(ChannelJobs):
        async def stop(self, job_id: str, *, grace_seconds: float) -> None:
            graces.append(grace_seconds)
            await super().stop(job_id, grace_seconds=grace_seconds)

    profile = Profile(name="fake", argv=(sys.executable, str(AGENT)))
    run = await AcpAgent(profile).start(Noted(desk.channel), task, {})
    events = []
    async for one in run.events():
        events.append(one.event)
        if isinstance(one.event, Text):
            cancelling = asyncio.ensure_future(run.cancel(grace_seconds=0.3))
    await cancelling
    await run.close()
    assert not events[-1].succeeded
    assert "ended before it answered" in events[-1].summary
    # The other half of the time was the agent's own.
    assert graces == [0.15]
    (job,) = await desk.channel.jobs()
    assert job.processes == 0


BAD = {
    "it ends at once": (["say x"], "dies", r"ended before it answered \(exit status 7\).*licence"),
    "it ends in between": (["say x", "complain oh no", "exit 3"], "", r"exit status 3\).*oh no"),
    "another protocol": (["say x"], "newer", "speaks version 99"),
    "an error of its own": (
        ["error quota exceeded"],
        "",
        "reports: Internal error: quota exceeded",
    ),
    "a refusal": (["stop refusal"], "", "the model refuses"),
    "too long": (["stop max_tokens"], "", "became too long"),
    "a reason that we don't know": (["stop boredom"], "", "the agent stopped: boredom"),
}


@pytest.mark.parametrize("how", BAD)
async def test_what_goes_wrong_ends_the_turn_in_words(desk, how):
    script, traits, summary = BAD[how]
    events = await desk.whole(desk.task(*script, traits=traits))
    assert isinstance(events[-1], Ended)
    assert not events[-1].succeeded
    assert re.search(summary, events[-1].summary, re.DOTALL), events[-1].summary


async def test_a_program_that_is_not_there(desk):
    profile = Profile(name="fake", argv=("/nowhere/agent",))
    run = await AcpAgent(profile).start(ChannelJobs(desk.channel), desk.task("say x"), {})
    (end,) = [one.event for one in await emitted(run)]
    assert not end.succeeded
    assert "/nowhere/agent" in end.summary


async def test_one_that_never_answers_is_given_up(desk, monkeypatch):
    monkeypatch.setattr(harness, "START_SECONDS_MAX", 0.5)
    monkeypatch.setattr(harness, "END_SECONDS_MAX", 0.2)
    (end,) = await desk.whole(desk.task("say x", traits="mute"))
    assert "did not begin to speak within 0.5 s" in end.summary
    (job,) = await desk.channel.jobs()
    assert job.state.value == "ended"


async def test_nonsense_in_between_is_passed_over(desk):
    events = await desk.whole(
        desk.task("noise {not json", "noise [1]", "strange", "malformed", "say fine")
    )
    assert words(events) == "fine"
    assert events[-1].succeeded


@pytest.mark.parametrize("number", [3, 9, 15, 16, -1])
async def test_answers_to_what_nobody_asked_are_passed_over(desk, number):
    events = await desk.whole(desk.task(f"answer {number}", "say fine"))
    assert words(events) == "fine"
    assert events[-1].succeeded


@pytest.mark.parametrize("error", ["5", "true", '"no"', "[[]]", '{"code": []}'])
async def test_an_error_that_is_none_of_the_protocol_ends_the_turn_in_words(desk, error):
    events = await desk.whole(desk.task("say begun", f"fail {error}"))
    assert words(events) == "begun"
    assert not events[-1].succeeded
    assert "the agent reports" in events[-1].summary


async def test_a_message_over_its_limit_ends_the_turn(desk, monkeypatch):
    monkeypatch.setattr(wire, "MESSAGE_BYTES_MAX", 100_000)
    events = await desk.whole(desk.task("flood 1000000", "say never"))
    assert "a message of more than 100000 bytes" in events[-1].summary
    (job,) = await desk.channel.jobs()
    assert job.state.value == "ended"


async def test_fifty_megabytes_in_one_line_end_the_turn_and_are_not_kept(desk):
    events = await desk.whole(desk.task("flood 50000000", "say never"))
    assert f"a message of more than {wire.MESSAGE_BYTES_MAX} bytes" in events[-1].summary
    assert words(events) == ""
    assert words(await desk.whole(desk.task("say fine", id="t2"))) == "fine"


async def test_what_an_agent_asks_at_once_is_answered_one_by_one(desk):
    events = await desk.whole(desk.task("asks 200"))
    assert words(events) == "200 of 200"
    assert events[-1].succeeded


async def test_the_way_into_the_machine_is_lost_and_found_again(desk, guest, authority):
    go = desk.home / "go"
    task = desk.task("say one ", f"wait {go}", "say two")
    run = await desk.run(task)
    seen = []

    async def read() -> None:
        async for one in run.events():
            seen.append(one)
            if isinstance(one.event, Text):
                await desk.channel.close()

    with pytest.raises(ConnectionError):
        await read()
    await run.close()
    desk.channel = await guest.open(authority, token=2)
    go.touch()
    rest = await emitted(await desk.run(task, cursor=seen[-1].cursor))
    await desk.channel.close()
    assert words([one.event for one in rest]) == "two"
    assert desk.log().count("session/prompt") == 1
