"""What an agent in a machine asks people for: a permission, and money to go on."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.delivery_world import KEYS, MENDED, bare, mending, shell_of
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
[budget]
session_usd = 5
[models.anthropic]
url = "UPSTREAM"
key = "{KEYS["anthropic"]}"
[models.anthropic.prices]
"{PRICEY}" = {{ input = 1, output = 1000 }}
"claude" = {{ input = 0, output = 0 }}
[machine]
idle_seconds = 20
[sizes.medium]
memory_mib = 1024
"""
LEAVES = "touch /tmp/left-behind && echo done"
SCRIPTS = [
    mending("claude-code", "MENDIT"),
    script("TOUCH", Step(says="I touch. ", **shell_of("claude-code", LEAVES)), Step(says="Over.")),
    script("COSTLY", Step(says="It was worth it.")),
]


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


def test_a_permission_is_asked_for_and_the_machine_may_rest_meanwhile(ona: Installation) -> None:
    accepted = ona.ask("TOUCH please")
    session = accepted["session"]
    asked = question(ona, session)
    assert "left-behind" in asked["text"]
    assert ona.request("GET", f"/sessions/{session}")["state"] == "waiting"
    ona.until_resting(session)
    answer(ona, session, asked, "1")
    events = of_turn(ona.wait(accepted), accepted)
    assert events[-1]["body"]["outcome"] == "succeeded", events[-1]
    assert said(events).endswith("Over.")
    assert ona.run("!ls /tmp/left-behind", session).output.strip() == "/tmp/left-behind"


def test_what_is_refused_is_not_run_and_the_session_goes_on(ona: Installation) -> None:
    accepted = ona.ask("TOUCH please")
    session = accepted["session"]
    asked = question(ona, session)
    answer(ona, session, asked, asked["choices"][-1])
    events = of_turn(ona.wait(accepted), accepted)
    assert "Over." in said(events) or events[-1]["body"]["outcome"] != "succeeded"
    assert ona.run("!ls /tmp/left-behind || true", session).output.strip().endswith("directory")


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
    accepted = ona.ask(f"model={PRICEY} COSTLY please")
    session = accepted["session"]
    answer(ona, session, question(ona, session), "stop")
    events = of_turn(ona.wait(accepted), accepted)
    assert events[-1]["body"]["outcome"] == "budget"
    assert ona.run("!git log --format=%s", session).output.strip() == "First"
    assert MENDED not in ona.run("!cat calc.py", session).output
