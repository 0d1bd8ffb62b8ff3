"""What an agent in a machine asks people for: a permission, and money to go on."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.delivery_world import KEYS, bare, shell_of
from tests.e2e.installation import Installation, of_turn
from tests.fakes.model import Step, model, script
from vmpool.network import slots

pytestmark = [
    pytest.mark.vm,
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(slots.missing()), reason=f"no network slots: {slots.missing()}"),
]
PRICEY = "claude-pricey-1"
CONFIG = f"""
[agents]
asks = true
installed = ["claude-code", "codex", "opencode"]
[budget]
session_usd = 5
[models.anthropic]
url = "UPSTREAM"
key = "{KEYS["anthropic"]}"
[models.anthropic.prices]
"{PRICEY}" = {{ input = 1, output = 1000 }}
"claude" = {{ input = 0, output = 0 }}
"scripted" = {{ input = 0, output = 0 }}
[models.openai]
url = "UPSTREAM"
key = "{KEYS["openai"]}"
[models.openai.prices]
"scripted" = {{ input = 0, output = 0 }}
[machine]
idle_seconds = 20
[sizes.medium]
memory_mib = 1024
"""
LEAVES = "touch ~/left-behind && echo done"
ESCALATED = {
    "cmd": LEAVES,
    "sandbox_permissions": "require_escalated",
    "justification": "It has to stand in the home directory",
}
SCRIPTS = [
    script(
        "CLAUDETOUCH", Step(says="I touch. ", **shell_of("claude-code", LEAVES)), Step(says="Over.")
    ),
    script("OPENTOUCH", Step(says="I. ", **shell_of("opencode", LEAVES)), Step(says="Over.")),
    script(
        "CODEXTOUCH",
        Step(says="Here. ", **shell_of("codex", "echo inside > made")),
        Step(says="There. ", tool="exec_command", arguments=ESCALATED),
        Step(says="Over."),
    ),
    script("COSTLY", Step(says="It was worth it.")),
]
AGENTS = {
    "claude-code": "agent=claude-code CLAUDETOUCH please",
    "codex": "agent=codex model=scripted-1 CODEXTOUCH please",
    "opencode": "agent=opencode model=scripted-1 OPENTOUCH please",
}


@pytest.fixture(scope="module")
def ona(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("asked")
    work = bare(directory / "demo.git")
    with model(*SCRIPTS) as provider:
        config = directory / "ona.toml"
        config.write_text(CONFIG.replace("UPSTREAM", provider.url))
        running = Installation(
            data=directory / "data",
            repository=directory,
            settings={"ONA_CONFIG": str(config)},
            step_seconds_max=900.0,
        )
        running.start()
        try:
            running.until_ready()
            new = {"name": "demo", "repository_url": str(work)}
            running.request("POST", "/projects", json=new)
            yield running
        finally:
            running.end()


def question(ona: Installation, session: str, known: int = 0) -> dict[str, Any]:
    """The newest one, once there are more than those."""

    def found() -> list[dict[str, Any]]:
        there = ona.request("GET", f"/sessions/{session}/questions")["questions"]
        return there if len(there) > known else []

    newest: dict[str, Any] = ona.until(found, "a question")[0]
    return newest


def answer(ona: Installation, session: str, asked: dict[str, Any], text: str) -> None:
    path = f"/sessions/{session}/questions/{asked['id']}/answer"
    ona.request("POST", path, json={"text": text})


def said(events: list[dict[str, Any]]) -> str:
    return "".join(one["body"]["text"] for one in events if one["kind"] == "text")


def allowed(ona: Installation, accepted: dict[str, Any]) -> list[dict[str, Any]]:
    """Say yes, once the agent asks for what it wants, and wait for the end of its turn."""
    session = accepted["session"]
    asked = question(ona, session)
    assert "left-behind" in asked["text"]
    assert ona.request("GET", f"/sessions/{session}")["state"] == "waiting"
    ona.until_resting(session)
    answer(ona, session, asked, "1")
    return of_turn(ona.wait(accepted), accepted)


def there(ona: Installation, session: str, path: str) -> bool:
    """Whether a file is in the machine of a session."""
    said = ona.run(f"!ls -d {path} > /dev/null 2>&1 && echo there || echo gone", session).output
    assert said.strip() in {"there", "gone"}
    return said.strip() == "there"


@pytest.mark.parametrize("agent", AGENTS)
def test_a_permission_is_asked_for_and_the_machine_may_rest_meanwhile(
    ona: Installation, agent: str
) -> None:
    accepted = ona.ask(AGENTS[agent])
    events = allowed(ona, accepted)
    assert events[-1]["body"]["outcome"] == "succeeded", events[-1]
    assert said(events).endswith("Over.")
    assert there(ona, accepted["session"], "~/left-behind")
    if agent == "codex":
        assert there(ona, accepted["session"], "made"), "its sandbox works in the machine"


@pytest.mark.parametrize("agent", AGENTS)
def test_what_is_refused_is_not_run_and_the_session_goes_on(ona: Installation, agent: str) -> None:
    accepted = ona.ask(AGENTS[agent])
    session = accepted["session"]
    asked = question(ona, session)
    number = next(at for at, one in enumerate(asked["choices"], 1) if one.startswith("No"))
    answer(ona, session, asked, str(number))
    ona.wait(accepted)
    assert not there(ona, session, "~/left-behind")


def test_a_budget_stops_a_turn_until_somebody_lets_it_go_on(ona: Installation) -> None:
    accepted = ona.ask(f"model={PRICEY} COSTLY please")
    session = accepted["session"]
    asked = question(ona, session)
    assert "of 5.00 USD" in asked["text"]
    ona.until_resting(session)
    answer(ona, session, asked, "continue")
    events = of_turn(ona.wait(accepted), accepted)
    assert events[-1]["body"]["outcome"] == "succeeded", events[-1]
    assert said(events) == "It was worth it."


def test_who_says_stop_ends_it_and_what_was_done_is_kept(ona: Installation) -> None:
    accepted = ona.ask(f"model={PRICEY} !echo 1 > kept")
    session = accepted["session"]
    ona.wait(accepted)
    accepted = ona.ask("COSTLY please", session)
    answer(ona, session, question(ona, session), "stop")
    events = of_turn(ona.wait(accepted), accepted)
    assert events[-1]["body"]["outcome"] == "budget"
    assert there(ona, session, "kept")
