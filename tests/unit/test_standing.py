"""What is known of a surface: in one process, and by all of them together."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters.forge.polled import condition
from adapters.listening import Condition
from bot.config import DiscordSettings, GitHubSettings, GitLabSettings, Settings, SlackSettings
from bot.doctor.finding import Finding, Verdict
from bot.doctor.running import heard
from bot.standing import WHY_LENGTH_MAX, Standings, brief
from bot.store.surface_states import Seen, SurfaceStatus, judged
from bot.switched import SURFACES, hook_url, switches
from bot.words.listening import NAMES, STATES, way_in

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def seen(state: Condition, *, owner="one", minutes=0, **more) -> Seen:
    at = NOW + timedelta(minutes=minutes)
    return Seen(surface="slack", state=state, owner=owner, at=at, **more)


def test_one_process_that_listens_is_enough_and_the_others_are_told():
    failing = seen(Condition.FAILING, why="no")
    found = judged("slack", [failing, seen(Condition.LISTENING, owner="two", mode="socket")], {})
    assert (found.state, found.why, found.mode) == (Condition.LISTENING, "", "socket")
    assert [one.owner for one in found.processes] == ["two", "one"]


def test_what_fails_goes_before_what_connects_waits_and_is_off():
    order = [Condition.OFF, Condition.WAITING, Condition.CONNECTING, Condition.FAILING]
    for last in range(1, 5):
        assert judged("slack", [seen(one) for one in order[:last]], {}).state is order[last - 1]


def test_a_failure_lasts_since_the_first_process_saw_it():
    found = judged("slack", [seen(Condition.FAILING, minutes=5), seen(Condition.FAILING)], {})
    assert found.since == NOW


def test_where_no_process_says_anything_what_waits_is_told_all_the_same():
    found = judged("slack", [], {"replies": 2, "since": NOW})
    assert (found.state, found.unsent, found.unsent_since) == (None, 2, NOW)


@pytest.fixture
def standings() -> Standings:
    return Standings(switches(Settings(gitlab=GitLabSettings(token="t"))))


def said(standings: Standings, surface="gitlab"):
    return standings._said[surface]


def test_what_is_switched_on_connects_first_and_the_rest_says_what_is_missing(standings):
    assert said(standings).state is Condition.CONNECTING
    off = said(standings, "slack")
    assert off.state is Condition.OFF
    assert off.why == ("slack.bot_token and slack.app_token or slack.signing_secret are not set")


def test_trying_again_does_not_hide_what_failed(standings):
    standings.tell("gitlab", Condition.FAILING, "no")
    standings.tell("gitlab", Condition.CONNECTING, "")
    assert (said(standings).state, said(standings).why) == (Condition.FAILING, "no")
    standings.tell("gitlab", Condition.LISTENING, "")
    assert (said(standings).state, said(standings).why) == (Condition.LISTENING, "")


def test_reasons_are_one_line_of_bounded_length(standings):
    standings.tell("gitlab", Condition.FAILING, "a\nb " + "x" * 1_000)
    assert said(standings).why.startswith("a b xxx")
    assert len(said(standings).why) == WHY_LENGTH_MAX
    assert brief(ValueError("one\ntwo")) == "ValueError: one"


def test_a_remark_stays_with_whatever_is_told(standings):
    standings.remark("gitlab", "no webhook is heard", mode="poll", delay_seconds=30)
    standings.tell("gitlab", Condition.LISTENING, "")
    assert said(standings).why == "no webhook is heard"
    assert (said(standings).mode, standings.delay_seconds("gitlab")) == ("poll", 30)


def test_what_opening_a_surface_raises_is_its_own_trouble(standings):
    with standings.opening("gitlab"):
        raise ZeroDivisionError("by zero")
    assert said(standings).why == "ZeroDivisionError: by zero"


def test_how_each_surface_listens_follows_from_the_settings():
    secret = {"webhook_secret": "s"}
    found = switches(
        Settings(
            public_url="https://ona.example.org",
            slack=SlackSettings(bot_token="b", signing_secret="s"),
            discord=DiscordSettings(token="t"),
            github=GitHubSettings(app_id=1, private_key="k", **secret),
            gitlab=GitLabSettings(token="t", **secret),
        )
    )
    modes = {name: (one.mode, one.delay_seconds) for name, one in found.items()}
    assert modes == {
        "slack": ("http", 0),
        "discord": ("gateway", 0),
        "github": ("webhook", 300),
        "gitlab": ("webhook", 300),
    }
    assert tuple(found) == SURFACES == tuple(NAMES)


def test_without_webhook_secrets_forges_are_polled_and_slack_has_its_socket():
    found = switches(
        Settings(
            slack=SlackSettings(bot_token="b", app_token="a"),
            github=GitHubSettings(app_id=1, private_key="k"),
            gitlab=GitLabSettings(token="t"),
        )
    )
    assert found["slack"].mode == "socket"
    assert [found[name].delay_seconds for name in ("github", "gitlab")] == [30, 30]
    assert way_in("poll", 30) == "polls every 30 s"


@pytest.mark.parametrize(
    ("section", "given", "missing"),
    [
        ("slack", SlackSettings(bot_token="b"), "slack.app_token or slack.signing_secret is"),
        ("slack", SlackSettings(app_token="a"), "slack.bot_token is"),
        ("github", GitHubSettings(private_key="k"), "github.app_id is"),
        ("gitlab", GitLabSettings(webhook_secret="s"), "gitlab.token is"),
    ],
)
def test_what_somebody_began_is_told_from_what_nobody_wants(section, given, missing):
    found = switches(Settings(**{section: given}))[section]
    assert found.missing == f"{missing} not set"
    assert found.begun
    assert not switches(Settings())[section].begun


def test_webhooks_arrive_at_the_public_address_only():
    assert hook_url(Settings(), "github") == ""
    there = Settings(public_url="https://ona.example.org/")
    assert hook_url(there, "github") == "https://ona.example.org/hooks/github"


def test_a_round_that_no_repository_answered_is_a_failure_and_a_part_of_it_a_remark():
    assert condition(["a", "b"], {}) == (Condition.LISTENING, "")
    assert condition(["a", "b"], {"a": "gone"}) == (Condition.LISTENING, "a: gone")
    assert condition(["a", "b"], {"a": "no", "b": "no"}) == (
        Condition.FAILING,
        "a (and 1 more): no",
    )


FINE = Finding(name="Slack", verdict=Verdict.FINE, found="ona in acme")


def status(state: Condition, **more) -> SurfaceStatus:
    return SurfaceStatus(surface="slack", state=state, since=NOW, **more)


def test_the_doctor_says_what_running_processes_say():
    found = heard(FINE, status(Condition.LISTENING), on=True)
    assert (found.verdict, found.found) == (Verdict.FINE, "ona in acme; `ona serve` listens")
    late = status(Condition.LISTENING, unsent=2, unsent_since=NOW)
    assert heard(FINE, late, on=True).found.endswith(
        "listens; 2 not posted yet, since 2026-11-28 12:00 UTC"
    )
    failing = heard(FINE, status(Condition.FAILING, why="no"), on=True)
    assert failing.verdict is Verdict.LESS
    assert failing.found.endswith("`ona serve` is failing since 2026-11-28 12:00 UTC: no")
    assert failing.follows


def test_the_doctor_sees_processes_that_run_with_other_settings():
    for state, on in ((Condition.OFF, True), (Condition.LISTENING, False)):
        found = heard(FINE, status(state), on=on)
        assert (found.verdict, found.do) == (Verdict.LESS, "Start it again.")
    assert heard(FINE, status(Condition.OFF), on=False) == FINE


def test_a_part_that_is_not_heard_is_noted_by_the_doctor():
    found = heard(FINE, status(Condition.LISTENING, why="acme/x: gone"), on=True)
    assert (found.verdict, found.follows) == (Verdict.LESS, "Not everything is heard.")


def test_every_condition_has_its_word():
    assert set(STATES) == {str(one) for one in Condition} | {"silent"}
