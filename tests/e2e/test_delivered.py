"""From the sentence to what can be merged, from Slack, a pull request and a terminal."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.delivery_world import (
    BROKEN,
    COMMIT,
    EDIT,
    MENDED,
    RUN,
    SENTENCE,
    World,
    mending,
    shell_of,
    world_of,
)
from tests.e2e.installation import of_turn
from tests.fakes.github.program import Emulator
from tests.fakes.model import Step, script
from tests.fakes.slack.world import Message
from vmpool.network import slots

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(slots.missing()), reason=f"no network slots: {slots.missing()}"),
]
MODEL = "scripted-1"
PUSH = "git push origin HEAD:refs/heads/ona/slipped 2>&1 | tail -1"
SCRIPTS = [
    mending("claude-code", SENTENCE),
    mending("codex", "MENDCODEX"),
    mending("opencode", "MENDOPEN"),
    script(
        "MENDBOTH",
        Step(says="Here. ", **shell_of("claude-code", f"{EDIT} && {COMMIT}")),
        Step(says="There. ", **shell_of("claude-code", f"cd /work/lab && {EDIT} && {COMMIT}")),
        Step(says="**Mended** both."),
    ),
    script("WHATWASIT", Step(says="It was `add`.")),
    script(
        "STILLOPEN",
        Step(says="I look. ", **shell_of("claude-code", RUN)),
        Step(says="I push. ", **shell_of("claude-code", f"{EDIT} && {COMMIT} && {PUSH}")),
        Step(says="Still open: `add` subtracts, so its test fails."),
    ),
    script("WHOSAIDSO", Step(says="The test did.")),
]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, module_database_url: str, github_emulator: Emulator
) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("delivered")
    with world_of(directory, module_database_url, github_emulator, *SCRIPTS) as made:
        yield made


def asked(world: World, text: str, **more: str) -> tuple[str, list[dict[str, Any]]]:
    """Ask in a terminal; the session, and what happened in the turn."""
    body = {"text": text, **({} if "session" in more else {"new": True}), **more}
    accepted = world.ona.request("POST", "/prompts", json=body)
    events = of_turn(world.ona.wait(accepted), accepted)
    assert events[-1]["body"]["outcome"] == "succeeded", events[-1]
    return str(accepted["session"]), events


def said(events: list[dict[str, Any]]) -> str:
    return "".join(one["body"]["text"] for one in events if one["kind"] == "text")


def test_the_sentence_in_slack_ends_with_a_pull_request_on_which_it_goes_on(world: World) -> None:
    question = world.asks(SENTENCE)

    def answered() -> list[str]:
        posts = world.posts(question)
        return [one for one in posts if "Mended" in one and "Working for" not in one]

    (answer,) = world.ona.until(answered, "an answer in Slack")
    assert "Mended by claude-code: add subtracted." in answer
    (pull,) = world.pulls()
    assert pull["draft"] is True
    assert pull["base"]["ref"] == "main"
    assert "Ann asked:" in pull["body"]
    assert SENTENCE in pull["body"]
    assert any(f"/pull/{pull['number']}" in one for one in world.posts(question))
    branch, name = pull["head"]["ref"], world.shop.name
    assert world.shown("github", name, branch) == MENDED
    assert world.shown("github", name, "main") == BROKEN
    ((subject, author, _),) = world.log("github", name, branch)
    assert (subject, author) == ("Add instead of subtracting", "Ann")

    # On the pull request the same session goes on, with its conversation.
    thread = world.thread(pull["number"])
    world.do(world.github.ann.says(thread, "/ona WHATWASIT?"))

    def told() -> bool:
        there = world.github.world.thread(thread.place)
        return any("It was" in one.text for one in there)

    world.ona.until(told, "an answer on the pull request")
    sessions = world.ona.request("GET", "/sessions")["sessions"]
    assert [one["short"] for one in sessions] == [branch.removeprefix("ona/")]
    assert SENTENCE in str(world.provider.requests()[-1]["body"])


def test_a_question_for_a_channel_is_answered_when_it_is_due_by_who_may_only_read(
    world: World,
) -> None:
    general, ona = world.general, world.bot.user
    known = len(world.pulls())
    question = world.asks("remind channel in 5 seconds STILLOPEN what is open and why")

    def posts(words: str, *, in_thread: bool) -> list[Message]:
        there = general.thread(question.place) if in_thread else general.public()
        mine = [one for one in there if one.author is ona and not one.deleted]
        return [one for one in mine if words in one.text and one.is_reply is in_thread]

    (proposed,) = world.ona.until(lambda: posts("I understood", in_thread=True), "what it takes")
    world.loop.call(lambda: world.ann.clicks(proposed, "Yes, have it answered each time"))
    (summary,) = world.ona.until(lambda: posts("Still open", in_thread=False), "the summary")
    assert "Asked by Ann: STILLOPEN" in summary.text
    assert "(in 5 seconds, Europe/Berlin). `reminders stop r-" in summary.text
    # What it committed stays in its machine: it may read and not write.
    with pytest.raises(subprocess.CalledProcessError):
        world.shown("github", world.shop.name, "ona/slipped")
    assert world.shown("github", world.shop.name, "main") == BROKEN
    assert len(world.pulls()) == known

    # Below the summary the same session goes on.
    world.loop.call(lambda: world.ann.says(general, f"{ona.mention} WHOSAIDSO?", thread=summary))
    world.ona.until(
        lambda: [one for one in general.thread(summary.place) if "The test did." in one.text],
        "an answer below the summary",
    )
    assert "STILLOPEN" in str(world.provider.requests()[-1]["body"])


@pytest.mark.long
def test_codex_is_asked_in_a_terminal_and_opens_a_pull_request(world: World) -> None:
    session, events = asked(world, f"agent=codex model={MODEL} MENDCODEX", project="shop")
    assert said(events).endswith("**Mended** by codex: `add` subtracted.")
    (pull,) = (one for one in world.pulls() if one["head"]["ref"] == f"ona/{session}")
    assert world.shown("github", world.shop.name, pull["head"]["ref"]) == MENDED
    world.ona.until_resting(session)
    _, events = asked(world, "WHATWASIT?", session=session)
    # Before it stands that it does not know the model.
    assert said(events).endswith("It was `add`.")
    assert "MENDCODEX" in str(world.provider.requests()[-1]["body"])


@pytest.mark.long
def test_opencode_works_for_gitlab_and_opens_a_merge_request(world: World) -> None:
    lab = world.lab()
    session, events = asked(world, f"agent=opencode model={MODEL} MENDOPEN", project="lab")
    assert said(events).endswith("**Mended** by opencode: `add` subtracted.")
    (merge,) = lab.noteables
    assert (merge.branch, merge.target) == (f"ona/{session}", "main")
    assert merge.title.startswith("Draft: ")
    assert world.shown("gitlab", "acme/lab", merge.branch) == MENDED
    ((subject, _, _),) = world.log("gitlab", "acme/lab", merge.branch)
    assert subject == "Add instead of subtracting"
    world.ona.until_resting(session)
    _, events = asked(world, "WHATWASIT?", session=session)
    assert said(events) == "It was `add`."


@pytest.mark.long
def test_two_repositories_on_two_hosts_get_requests_that_name_each_other(world: World) -> None:
    lab = world.lab()
    known = len(lab.noteables)
    beside = {"url": f"{world.forges['gitlab']}/acme/lab.git"}
    world.ona.request("POST", "/projects/shop/repositories", json=beside)
    session, events = asked(world, "agent=claude-code MENDBOTH", project="shop")
    assert said(events).endswith("**Mended** both.")
    branch = f"ona/{session}"
    (pull,) = (one for one in world.pulls() if one["head"]["ref"] == branch)
    (merge,) = lab.noteables[known:]
    assert merge.branch == branch
    assert world.shown("github", world.shop.name, branch) == MENDED
    assert world.shown("gitlab", "acme/lab", branch) == MENDED
    assert f"/merge_requests/{merge.iid}" in pull["body"].partition("Together with")[2]
