"""Claude Code in a machine, given a scripted model: from a prompt to a branch to be merged."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.delivery_world import BROKEN, KEYS, MENDED, RUN, broken
from tests.e2e.installation import Installation, of_turn
from tests.fakes.caches import images_dir
from tests.fakes.model import Model, Step, model, script
from vmpool.image_recipe.layers import layers_of
from vmpool.image_recipe.recipe import recipe_of_host
from vmpool.layers import TAR, path_of
from vmpool.network import slots

pytestmark = [
    pytest.mark.vm,
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(slots.missing()), reason=f"no network slots: {slots.missing()}"),
]
SCRIPTS = [
    script(
        "MENDIT",
        Step(says="I look at the test. ", tool="Bash", arguments={"command": RUN}),
        Step(
            says="It subtracts. ",
            tool="Write",
            arguments={"file_path": "/work/demo/calc.py", "content": MENDED},
        ),
        Step(says="Again. ", tool="Bash", arguments={"command": RUN}),
        Step(
            says="I commit. ",
            tool="Bash",
            arguments={"command": "git commit -qam 'Add instead of subtracting' && git log -1"},
        ),
        Step(says="**Mended**: `add` subtracted."),
    ),
    script(
        "SAMEDIFF",
        Step(says="I look. ", tool="Bash", arguments={"command": RUN}),
        Step(
            says="It subtracts. ",
            tool="Bash",
            # No path in it says where it runs.
            arguments={"command": "sed -i 's/a - b/a + b/' calc.py && echo '# Mended' >> calc.py"},
        ),
        Step(
            says="A test for it. ",
            tool="Bash",
            arguments={"command": "mkdir -p more && cp test_calc.py more/test_more.py"},
        ),
        Step(says="Again. ", tool="Bash", arguments={"command": RUN}),
        Step(says="Mended."),
    ),
    script("WHATWASIT", Step(says="It was `add`.")),
    script("SLEEPLONG", Step(says="I wait. ", tool="Bash", arguments={"command": "sleep 100"})),
]


@pytest.fixture(scope="module")
def provider() -> Iterator[Model]:
    with model(*SCRIPTS) as running:
        yield running


@pytest.fixture(scope="module")
def ona(tmp_path_factory, provider: Model) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("agents")
    running = Installation(
        data=directory / "data",
        repository=broken(directory / "demo"),
        settings={
            "ONA_MODELS__ANTHROPIC__URL": provider.url,
            "ONA_MODELS__ANTHROPIC__KEY": KEYS["anthropic"],
            "ONA_MACHINE__IDLE_SECONDS": "20",
            "ONA_SIZES__MEDIUM__MEMORY_MIB": "1024",
        },
        # A program of 400 MB is read under emulation first.
        step_seconds_max=900.0,
    )
    running.start()
    try:
        running.until_ready()
        yield running
    finally:
        running.end()


def said(events, kind: str = "text") -> str:
    return "".join(one["body"]["text"] for one in events if one["kind"] == kind)


def asked(ona: Installation, text: str, session: str | None = None):
    accepted = ona.ask(text, session)
    return accepted, of_turn(ona.wait(accepted), accepted)


def git(repository: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_prompt_is_mended_tested_committed_and_stands_on_a_branch(ona, provider):
    accepted, events = asked(ona, "MENDIT please")
    session = accepted["session"]
    assert events[-1]["body"]["outcome"] == "succeeded", events[-1]
    assert said(events).endswith("**Mended**: `add` subtracted.")
    titles = [one["body"]["title"] for one in events if one["kind"] == "tool"]
    assert any("unittest" in title for title in titles)
    assert any("calc.py" in title for title in titles)

    branch = f"ona/{session}"
    assert git(ona.repository, "show", f"{branch}:calc.py") == MENDED.strip()
    subject, author, body = git(
        ona.repository, "log", "-1", "--format=%s%x00%an%x00%b", branch
    ).split("\0")
    assert subject == "Add instead of subtracting"
    assert author != "Test"
    assert body.count("Co-authored-by:") <= 1
    assert git(ona.repository, "show", "main:calc.py") == BROKEN.strip()

    assert ona.run("!env | grep -c worth-stealing || true", session).output.strip() == "0"

    # The conversation goes on, after a rest with all of its memory too.
    _, events = asked(ona, "WHATWASIT then?", session)
    assert said(events) == "It was `add`."
    ona.until_resting(session)
    _, events = asked(ona, "WHATWASIT again?", session)
    assert said(events) == "It was `add`."
    last = provider.requests()[-1]["body"]
    assert "MENDIT" in str(last["messages"])


@pytest.fixture(scope="module")
def claude(tmp_path_factory) -> Path:
    """The same program as in the machines, on this host."""
    *_, layer = layers_of(["claude-code"], recipe_of_host().architecture)
    directory = tmp_path_factory.mktemp("claude")
    (command,) = (one for one in layer.commands if one.name == "claude")
    file = f"node_modules/{command.file}"
    tar = path_of(images_dir(), layer) / TAR
    subprocess.run(["tar", "-C", str(directory), "-xf", str(tar), file], check=True)
    return directory / file


def test_the_same_task_leaves_the_same_diff_as_the_agent_alone_on_the_host(
    ona, provider, claude, tmp_path
):
    accepted, events = asked(ona, "SAMEDIFF please")
    assert events[-1]["body"]["outcome"] == "succeeded", events[-1]
    branch = f"ona/{accepted['session']}"
    through_us = git(ona.repository, "diff", "--no-color", "main", branch)

    alone = tmp_path / "alone"
    git(tmp_path, "clone", "-q", "-b", "main", str(ona.repository), str(alone))
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "ANTHROPIC_BASE_URL": provider.url,
        "ANTHROPIC_API_KEY": KEYS["anthropic"],
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    subprocess.run(
        [str(claude), "-p", "SAMEDIFF please", "--allowedTools", "Bash"],
        cwd=alone,
        env=environment,
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    shutil.rmtree(alone / "__pycache__", ignore_errors=True)
    git(alone, "add", "-A")
    assert git(alone, "diff", "--no-color", "--cached") == through_us
    assert "+    return a + b" in through_us
    assert "more/test_more.py" in through_us


def test_stop_ends_what_the_agent_runs_and_its_session_goes_on(ona):
    accepted = ona.ask("SLEEPLONG please")
    ona.wait(accepted, "tool")
    ona.request("POST", f"/sessions/{accepted['session']}/stop")
    events = of_turn(ona.wait(accepted), accepted)
    assert events[-1]["body"]["outcome"] == "stopped"
    _, events = asked(ona, "WHATWASIT now?", accepted["session"])
    assert events[-1]["body"]["outcome"] == "succeeded"
