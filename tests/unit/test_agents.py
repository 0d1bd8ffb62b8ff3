"""Agents by name: what people may ask for is what a host has."""

import json

import pytest

from bot import agents
from bot.config import Settings
from bot.errors import Refused
from bot.govern.agents import Agents, agents_for_people, agents_of
from bot.govern.projects import NewProject, check

KEYS = {"anthropic": {"key": "k"}, "openai": {"key": "k"}}
OWN = {"own": {"mine": {"argv": ["mine", "--acp"], "mode": "free", "environment": {"A": "1"}}}}


def settings(**more) -> Settings:
    return Settings.model_validate(more)


def test_a_host_has_every_agent_that_can_be_asked_for_and_no_other():
    set_up = settings(agents=OWN)
    assert set(agents.adapters_of(set_up)) == set(agents_of(set_up).names)
    assert "mine" in agents_of(set_up).names


def test_a_project_of_an_unknown_agent_is_refused():
    with pytest.raises(Refused, match="no agent nobody; known are: shell"):
        check(NewProject(name="demo", repository_url="/srv/demo", agent="nobody"), (), Agents())


@pytest.mark.parametrize(
    ("models", "default", "chosen"),
    [
        ([], "", "shell"),
        (["anthropic"], "", "claude-code"),
        (["openai"], "", "codex"),
        (["openai", "anthropic"], "", "claude-code"),
        (["anthropic"], "shell", "shell"),
    ],
)
def test_the_agent_that_nobody_names_goes_by_the_provider_that_is_set(models, default, chosen):
    set_up = settings(models={one: KEYS[one] for one in models}, agents={"default": default})
    assert agents_of(set_up).chosen(None, None) == chosen
    assert agents_of(set_up).chosen(None, "shell") == "shell"


def test_an_agent_that_machines_do_not_hold_is_refused_before_one_is_started():
    set_up = settings(models={"anthropic": KEYS["anthropic"]}, agents=OWN)
    assert agents_of(set_up).chosen("mine") == "mine"
    with pytest.raises(Refused, match="codex is not set up here; choose one of: claude-code,"):
        agents_of(set_up).chosen("codex", "claude-code")
    more = settings(agents={"installed": ["codex"]})
    assert agents_of(more).chosen("codex") == "codex"


def test_what_people_chose_counts_for_what_they_ask_and_for_nothing_that_runs_by_itself():
    set_up = settings(models={"anthropic": {**KEYS["anthropic"], "offered": ["small"]}})
    (offer,) = agents_for_people(set_up).offers
    assert (offer.agent, offer.model) == ("claude-code", "small")
    assert agents_of(set_up).offers == ()


@pytest.mark.parametrize("name", ["codex", "Mine", "a b", ""])
def test_an_agent_of_ones_own_has_a_name_of_its_own(name):
    with pytest.raises(ValueError, match="names of small letters"):
        settings(agents={"own": {name: {"argv": ["x"]}}})


def test_a_default_that_is_no_agent_is_an_error():
    with pytest.raises(ValueError, match=r"agents.default should be one of .*, but is 'gpt'"):
        settings(agents={"default": "gpt"})


def test_programs_are_told_where_their_models_are_and_no_key():
    profiles = agents.profiles(settings(models=KEYS))
    codex = json.loads(profiles["codex"].variables("gpt-5")["CODEX_CONFIG"])
    assert codex["model"] == "gpt-5"
    (provider,) = codex["model_providers"].values()
    assert provider["base_url"] == "http://gateway.ona/model/openai/v1"
    opencode = json.loads(profiles["opencode"].variables("m")["OPENCODE_CONFIG_CONTENT"])
    assert opencode["model"] == "ona/m"
    assert opencode["provider"]["ona"]["options"]["baseURL"] == (
        "http://gateway.ona/model/anthropic/v1"
    )
    assert profiles["claude-code"].variables("opus")["ANTHROPIC_MODEL"] == "opus"
    assert "ANTHROPIC_MODEL" not in profiles["claude-code"].variables(None)


def test_an_agent_of_ones_own_is_started_as_its_settings_say():
    profile = agents.profiles(settings(agents=OWN))["mine"]
    assert (tuple(profile.argv), profile.mode) == (("mine", "--acp"), "free")
    assert profile.variables("m") == {"A": "1"}


def test_what_agents_keep_of_a_conversation_is_a_part_of_checkpoints():
    kept = agents.conversations(settings())
    assert kept["claude-code"] == (".claude/projects/**",)
    assert all(kept[name] for name in ("codex", "opencode"))


@pytest.mark.parametrize(
    ("asks", "modes", "permission"),
    [
        (False, ("bypassPermissions", "agent-full-access", "free"), "allow"),
        (True, ("default", "workspace-write", None), "ask"),
    ],
)
def test_where_people_are_asked_agents_work_in_a_mode_in_which_they_ask(asks, modes, permission):
    profiles = agents.profiles(settings(models=KEYS, agents={**OWN, "asks": asks}))
    names = ("claude-code", "codex", "mine")
    assert tuple(profiles[name].mode for name in names) == modes
    assert profiles["codex"].variables(None)["INITIAL_AGENT_MODE"] == modes[1]
    said = json.loads(profiles["opencode"].variables(None)["OPENCODE_CONFIG_CONTENT"])
    assert set(said["permission"].values()) == {permission}
