"""When a turn failed because of its provider, and what could run it instead."""

import pytest

from bot.config import Settings
from bot.govern.offers import Offer, offers_of
from bot.store.states import OUTCOMES, TurnState
from bot.work import ended_words
from bot.work.provider_faults import OTHERS_MAX, Answered, decide, kept, offered, others

FAILED = Answered(provider="anthropic", model="claude-x", fault="overloaded")
FINE = Answered(provider="anthropic", model="claude-x", fault=None)


@pytest.mark.parametrize("state", sorted(OUTCOMES))
@pytest.mark.parametrize("last", [None, FINE, FAILED], ids=["none", "fine", "failed"])
def test_a_provider_is_the_reason_where_the_last_request_of_a_failed_turn_failed(state, last):
    is_reason = last is FAILED and state in {TurnState.FAILED, TurnState.TIMED_OUT}
    assert decide(state, last) == (FAILED if is_reason else None)


CLAUDE = Offer(provider="anthropic", agent="claude-code")
CODEX = Offer(provider="openai", agent="codex")
LARGE = Offer(provider="anthropic", agent="claude-code", model="large")
SMALL = Offer(provider="anthropic", agent="claude-code", model="small")
OPEN = Offer(provider="anthropic", agent="opencode", model="small")
GPT = Offer(provider="openai", agent="codex", model="gpt")


def failed(fault: str = "overloaded", model: str = "claude-x") -> Answered:
    return Answered(provider="anthropic", model=model, fault=fault)


CASES = {
    "there is none": (failed(), "claude-code", None, [], []),
    "only what failed": (failed(), "claude-code", None, [CLAUDE], []),
    "another provider": (failed(), "claude-code", None, [CLAUDE, CODEX], [CODEX]),
    "other providers first": (failed(), "claude-code", None, [SMALL, GPT], [GPT, SMALL]),
    "not the model that failed by default": (
        failed(model="large"),
        "claude-code",
        None,
        [LARGE, SMALL],
        [SMALL],
    ),
    "not the model that was named": (
        failed(model="large"),
        "claude-code",
        "large",
        [LARGE, SMALL, GPT],
        [GPT, SMALL],
    ),
    "the default where a name is wrong": (
        failed("unknown", "typo"),
        "claude-code",
        "typo",
        [CLAUDE, CODEX],
        [CODEX, CLAUDE],
    ),
    "none of a provider without money": (
        failed("unpaid"),
        "claude-code",
        None,
        [LARGE, SMALL, GPT],
        [GPT],
    ),
    "none of a provider out of reach": (failed("unreachable"), "claude-code", None, [SMALL], []),
    "none with a key that is refused": (failed("denied"), "claude-code", None, [SMALL], []),
    "one agent for a model": (failed(), "claude-code", None, [SMALL, OPEN], [SMALL]),
    "the session's own agent": (failed(), "opencode", "large", [SMALL, OPEN], [OPEN]),
}


@pytest.mark.parametrize(("last", "agent", "model", "offers", "found"), CASES.values(), ids=CASES)
def test_what_could_run_it_instead(last, agent, model, offers, found):
    assert others(last, offers, agent=agent, model=model) == found


def test_no_more_are_offered_than_fit():
    offers = [Offer(provider="openai", agent="codex", model=f"m{n}") for n in range(OTHERS_MAX + 2)]
    assert others(failed(), offers, agent="claude-code", model=None) == offers[:OTHERS_MAX]


def test_what_is_kept_with_an_outcome_is_offered_again():
    assert offered(kept(failed(), [GPT, CODEX])) == [GPT, CODEX]
    assert offered({"summary": "done"}) == []


@pytest.mark.parametrize(
    ("offer", "agent", "options", "called"),
    [
        (CODEX, "claude-code", "agent=codex", "codex"),
        (GPT, "claude-code", "agent=codex model=gpt", "gpt (codex)"),
        (SMALL, "claude-code", "model=small", "small (claude-code)"),
        (CLAUDE, "claude-code", "agent=claude-code", "claude-code"),
    ],
)
def test_how_it_is_asked_for_and_called(offer, agent, options, called):
    assert (offer.options(agent), offer.called) == (options, called)


@pytest.mark.parametrize(
    "fault", ["overloaded", "limited", "unpaid", "denied", "unknown", "broken", "unreachable"]
)
def test_every_failure_is_told_with_what_can_be_done(fault):
    said = ended_words.provider_failed(failed(fault), [GPT], "claude-code")
    assert "anthropic" in said
    assert "what was done is kept, `retry` asks it again" in said
    assert "`agent=codex model=gpt retry` goes on with gpt (codex)" in said
    assert "goes on" not in ended_words.provider_failed(failed(fault), [], "claude-code")


def settings(installed: list[str] | None, **models: dict) -> Settings:
    agents = {} if installed is None else {"agents": {"installed": installed}}
    return Settings(models=models, **agents)


OPENAI, ANTHROPIC = {"key": "k"}, {"key": "k"}
TWO = {"format": "anthropic", "url": "https://two.example.org", "offered": ["b"]}
OFFERS = {
    "none": (settings(None), []),
    "defaults": (settings(None, anthropic=ANTHROPIC, openai=OPENAI), [CLAUDE, CODEX]),
    "names in place of them": (
        settings(None, anthropic={"key": "k", "offered": ["large", "small"]}, openai=OPENAI),
        [LARGE, SMALL, CODEX],
    ),
    "no agent reaches the second of a format": (
        settings(None, anthropic=ANTHROPIC, two=TWO),
        [CLAUDE],
    ),
    "agents that machines do not hold": (
        settings(["codex"], anthropic=ANTHROPIC, openai=OPENAI),
        [CODEX],
    ),
    "an agent of any format, where a model is named": (
        settings(
            ["opencode", "codex"], anthropic={"key": "k", "offered": ["small"]}, openai=OPENAI
        ),
        [OPEN, CODEX],
    ),
}


@pytest.mark.parametrize(("settings", "found"), OFFERS.values(), ids=OFFERS)
def test_the_settings_say_what_there_is(settings, found):
    assert offers_of(settings) == found
