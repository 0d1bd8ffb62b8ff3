"""What an agent's own program tells its model: of the repository, and of what it is given besides.

The programs are those of the guest image; a guest program on this host runs them, no machine does.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.agent.acp.harness import AcpAgent
from adapters.agent.acp.profiles import Profile, Provider, known
from bot.conversation.inbox import Inbox
from bot.govern.agents import Agents
from bot.govern.instructions import Installed
from bot.work.instructing import Instructing, ToldAt
from tests.e2e.delivery_world import shell_of
from tests.fakes.caches import images_dir
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.fakes.model import Model, Step, model, script
from tests.integration.conftest import Town
from tests.integration.vm.conftest import AGENTS
from tests.integration.work.test_agent_turns import ENDED, done
from tests.support.shift import Shift, until
from vmpool.image_recipe.layers import HOME, Layer, layers_of
from vmpool.image_recipe.recipe import recipe_of_host
from vmpool.layers import TAR, path_of

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
NOWHERE = "http://127.0.0.1:9"
FROM_US = {"RULESOFALL", "RULESOFPROJECT", "SKILLOFALL"}
TOLD: Mapping[str, set[str]] = {
    "claude-code": {"ROOTCLAUDE", "NESTEDCLAUDE", "SKILLOFREPOSITORY"},
    "codex": {"ROOTAGENTS", "SKILLOFREPOSITORY"},
}
"""What of the repository reaches the model without anybody being asked to trust it."""


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def put_skill(directory: Path, name: str, word: str) -> None:
    text = f"---\nname: {name}\ndescription: For {word}\n---\n{word}\n"
    put(directory / name / "SKILL.md", text)


def unpacked(agent: str, into: Path) -> Sequence[str]:
    """The program of an agent, as its command in machines starts it."""
    layers: Sequence[Layer] = layers_of((agent,), recipe_of_host().architecture)
    for layer in layers:
        (into / layer.name).mkdir()
        tar = path_of(images_dir(), layer) / TAR
        subprocess.run(["tar", "-C", str(into / layer.name), "-xf", str(tar)], check=True)
    started = known(())[agent].argv
    (line,) = (
        line for layer in layers for name, line in layer.scripts().items() if name == started[0]
    )
    command = line.splitlines()[1].removeprefix("exec ").removesuffix(' "$@"')
    return [*command.replace(f"/{HOME}", str(into)).split(), *started[1:]]


def profile_of(agent: str, argv: Sequence[str], provider: Model) -> Profile:
    form = "openai" if agent == "codex" else "anthropic"
    profile = known([Provider(name="p", format=form, base=provider.url)])[agent]
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    environment = {
        **profile.environment,
        **proxies,
        **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1"),
        **dict.fromkeys(("ANTHROPIC_API_KEY", "OPENAI_API_KEY"), "placeholder"),
        "ANTHROPIC_BASE_URL": provider.url,
        "IS_SANDBOX": "1",
    }
    return replace(profile, argv=argv, environment=environment)


def steps(agent: str, nested: Path) -> Sequence[Step]:
    """Reads a nested file; then asks for skills where the list of them is not in the journal."""
    if agent != "claude-code":
        return [Step(says="I look. ", **shell_of(agent, f"cat {nested}"))]
    return [
        Step(says="I look. ", tool="Read", arguments={"file_path": str(nested)}),
        *(
            Step(says="A skill. ", tool="Skill", arguments={"skill": name})
            for name in ("of-all", "of-repository")
        ),
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Where the agent works, with what a repository can say to agents."""
    for kind in ("AGENTS", "CLAUDE"):
        put(tmp_path / f"{kind}.md", f"ROOT{kind}\n")
        put(tmp_path / f"sub/{kind}.md", f"NESTED{kind}\n")
    put(tmp_path / "sub/a.txt", "nested\n")
    for directory in (".claude", ".agents"):
        put_skill(tmp_path / directory / "skills", "of-repository", "SKILLOFREPOSITORY")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture
def elsewhere(tmp_path_factory) -> Path:
    """With what we give to all agents."""
    elsewhere: Path = tmp_path_factory.mktemp("elsewhere")
    put(elsewhere / "given/AGENTS.md", "RULESOFALL\n")
    put_skill(elsewhere / "given/skills", "of-all", "SKILLOFALL")
    return elsewhere


@pytest.mark.parametrize("agent", [one for one in AGENTS if one in TOLD])
async def test_a_model_is_told_what_the_repository_says_and_what_we_give(
    *, town: Town, places: GuestWorkplaces, repository: Path, elsewhere: Path, agent: str, request
) -> None:
    layers = layers_of((agent,), recipe_of_host().architecture)
    if not all((path_of(images_dir(), one) / TAR).exists() for one in layers):
        request.getfixturevalue("agents_image")
    argv = unpacked(agent, elsewhere)
    await town.rows("UPDATE project SET instructions = 'RULESOFPROJECT' RETURNING id")
    named = Agents(names=(agent,), default=agent)
    town.inbox = Inbox(town.database, prompt_bytes_max=100_000, agents=named)
    said = script("TELLALL", *steps(agent, repository / "sub/a.txt"), Step(says="Over."))
    with model(said) as provider:
        profile = profile_of(agent, argv, provider)
        at = {agent: ToldAt(text=profile.instructions, skills=profile.skills)}
        told = Instructing(town.database, Installed(elsewhere / "given"), at)
        doing = {"agents": {agent: AcpAgent(profile)}, "instructing": told}
        await town.say(f"agent={agent} TELLALL please")
        async with Shift(town, places, "w", **doing, seconds_max=600):
            await until(town, ENDED, done(1), seconds=600)
        asked = json.dumps([one["body"] for one in provider.requests()])
    assert {one for one in TOLD[agent] | FROM_US if one not in asked} == set()
