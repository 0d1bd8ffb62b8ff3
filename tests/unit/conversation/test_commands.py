"""What a message asks for."""

from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.prefixes import OPTIONS, is_private
from bot.conversation.commands import (
    ALONE,
    Allow,
    Aside,
    Automations,
    Command,
    Join,
    Nothing,
    Prompt,
    Word,
    parse,
)
from bot.conversation.reminder_commands import Remind, Reminders, with_moment
from bot.conversation.words import HELP


def test_every_word_of_a_command_can_be_said():
    assert set(get_args(Word)) == {*ALONE, "cancel", "continue"}


@pytest.mark.parametrize("word", ALONE)
def test_a_word_alone_is_a_command_in_any_case_and_spacing(word):
    assert parse(word) == Command(word=word)
    assert parse(f"  {word.upper().replace(' ', '   ')}\n") == Command(word=word)
    assert parse(f"@ona {word}!") == Command(word=word)


@pytest.mark.parametrize(
    ("text", "resembles"),
    [
        ("stop using tabs", "stop"),
        ("please stop", None),
        ("queue the mails in redis", None),
        ("help me", "help"),
        ("cancel it", "cancel 1"),
        ("sizze=big fix it", "size="),
        ("Agnet=codex fix it", "agent="),
        ("x=1 is what it prints", None),
        ("type=module breaks the build", None),
        ("join https://example.org/acme/shop/7", "join s-…"),
        ("join", "join s-…"),
        ("join both tables", None),
        ("fix the flaky payment test", None),
    ],
)
def test_words_that_only_begin_like_a_command_are_a_prompt(text, resembles):
    parsed = parse(text)
    assert isinstance(parsed, Prompt)
    assert parsed.text == text
    assert parsed.resembles == resembles


@pytest.mark.parametrize(
    ("text", "number"), [("cancel 2", 2), ("Cancel #12", 12), ("cancel 99999999999", 999_999_999)]
)
def test_cancel_takes_a_number(text, number):
    assert parse(text) == Command(word="cancel", number=number)


def test_a_bang_is_a_command_line_and_not_words():
    assert parse("!git status") == Prompt(text="git status", kind="command")
    assert parse("@ona !ls -la") == Prompt(text="ls -la", kind="command")
    assert parse("now: !ls") == Prompt(text="ls", kind="command", now=True)


def test_prefixes_can_be_combined_and_keep_the_text_whole():
    assert parse("new: now: do it: all") == Prompt(text="do it: all", new=True, now=True)


def test_options_stand_before_the_text():
    parsed = parse("repo=acme/pay branch=dev agent=shell fix x=y")
    assert parsed == Prompt(
        text="fix x=y", options={"repo": "acme/pay", "branch": "dev", "agent": "shell"}
    )


def test_an_aside_is_not_for_the_bot():
    assert parse("aside: what do you think, Bo?") == Aside()


@pytest.mark.parametrize("text", ["", "  \n", "@ona", "/ona   ", "new:", "now: repo=a/b"])
def test_nothing_to_do_is_said_so(text):
    assert parse(text) == Nothing()


def test_only_the_name_that_is_set_addresses_the_bot():
    assert parse("@robo-2 stop", "robo-2") == Command(word="stop")
    assert parse("/Robo-2: !ls", "robo-2") == Prompt(text="ls", kind="command")
    assert parse("@ona stop", "robo-2") == Prompt(text="@ona stop")
    assert parse("@robo-2x stop", "robo-2") == Prompt(text="@robo-2x stop")
    assert parse("a@b stop", "a.b") == Prompt(text="a@b stop")


@given(st.text(max_size=300))
def test_any_text_is_understood_somehow_and_prompts_lose_no_words(text):
    parsed = parse(text)
    assert isinstance(parsed, Prompt | Command | Aside | Nothing)
    if isinstance(parsed, Prompt):
        assert parsed.text.strip()
        assert parsed.text in text


@pytest.mark.parametrize(
    "text",
    [
        "join s-7f3kd",
        "@ona JOIN  S-7F3KD",
        "/ona join s-7f3kd",
        "join https://ona.example/sessions/s-7f3kd",
        "join https://ona.example/team/sessions/s-7f3kd/changes?turn=2#end",
    ],
)
def test_a_thread_joins_a_session_by_its_short_id_or_its_page(text):
    assert parse(text) == Join(session="s-7f3kd")


@pytest.mark.parametrize(
    "text", ["join", "join the tables", "join s-7f3kd and fix it", "join 7f3kd", "join s-7f3kd/x"]
)
def test_other_words_after_join_are_a_prompt(text):
    assert isinstance(parse(text), Prompt)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("retry", {}),
        ("agent=codex retry", {"agent": "codex"}),
        ("@ona Agent=codex model=gpt-6 Retry!", {"agent": "codex", "model": "gpt-6"}),
    ],
)
def test_a_retry_may_name_another_agent_and_model(text, options):
    assert parse(text) == Command(word="retry", options=options)


@pytest.mark.parametrize(
    "text", ["size=large retry", "now: retry", "agent=codex stop", "agent=codex retry the build"]
)
def test_options_before_anything_else_make_it_a_prompt(text):
    assert isinstance(parse(text), Prompt)


ASKED = "0192a4b8-7c1e-7000-8000-00000000abcd"


def test_a_button_continues_the_prompt_that_it_names():
    assert parse(f"continue {ASKED}") == Command(word="continue", prompt=UUID(ASKED))
    second = Command(word="continue", prompt=UUID(ASKED), number=2)
    assert parse(f"continue {ASKED} 2") == second


@pytest.mark.parametrize(
    "text",
    ["continue", "continue please", f"continue {ASKED} 0", f"continue {ASKED} then", "go on"],
)
def test_people_who_say_continue_talk_to_the_agent(text):
    assert isinstance(parse(text), Prompt)


def test_help_names_every_option():
    assert [name for name in OPTIONS if f"{name}=" not in HELP] == []


@pytest.mark.parametrize(
    ("said", "whom", "words", "behind"),
    [
        ("remind me tomorrow 9 to call Bob", "me", "tomorrow 9 to call Bob", False),
        ("remind me to call Bob tomorrow 9", "me", "to call Bob tomorrow 9", True),
        ("Remind channel every friday 16:00 what is open", "channel", None, False),
        ("remind this thread in 20 minutes: tea", "here", "in 20 minutes: tea", False),
        ("remind @bo next friday to call", "@bo", "next friday to call", False),
        ("erinnere mich morgen um 9 an Urlaub", "me", "morgen um 9 an Urlaub", False),
        ("remind me tomorrow at 3 to call", "me", "tomorrow at 3 to call", False),
    ],
)
def test_a_reminder_is_one_when_whom_and_when_can_be_read(said, whom, words, behind):
    expected = words or said.partition("channel ")[2]
    assert parse(said) == Remind(whom=(whom,), words=expected, behind=behind)


@pytest.mark.parametrize(
    ("said", "whom"),
    [
        ("me and @bo", ("me", "@bo")),
        ("@anna, @ben and #team", ("@anna", "@ben", "#team")),
        ("@anna,@ben, and the channel", ("@anna", "@ben", "channel")),
        ("me & @Ben Smith", ("me", "@Ben Smith")),
        ("@bo, me and @bo", ("@bo", "me")),
        ("us and #payments-eu", ("here", "#payments-eu")),
        ("mich und @bo", ("me", "@bo")),
    ],
)
def test_a_reminder_is_for_several(said, whom):
    assert parse(f"remind {said} tomorrow 9 stand-up") == Remind(
        whom=whom, words="tomorrow 9 stand-up"
    )


@pytest.mark.parametrize(
    ("said", "rest"),
    [
        ("tomorrow 9 what is open, only if something changed", "what is open"),
        ("tomorrow 9 what is open (only if something has changed)", "what is open"),
        ("tomorrow 9 what is open only if anything changed.", "what is open"),
        ("to say what is open tomorrow 9, only if something changed", "to say what is open"),
        ("morgen um 9 was offen ist, nur wenn sich etwas geändert hat", "was offen ist"),
    ],
)
def test_a_reminder_is_only_for_what_changed(said, rest):
    parsed = parse(f"remind channel {said}")
    assert isinstance(parsed, Remind)
    assert parsed.compares(rest)
    assert "chang" not in parsed.words
    assert "geändert" not in parsed.words


def test_what_changed_may_stand_before_what_is_asked():
    parsed = parse("remind me every friday only if something changed: what is open")
    assert isinstance(parsed, Remind)
    assert parsed.compares("only if something changed: what is open")
    assert parsed.what_of("only if something changed: what is open") == "what is open"
    assert not parsed.compares("what is open only if something is wrong")


@pytest.mark.parametrize(
    ("said", "with_time"),
    [
        ("remind me mañana a las 9 comprar leche", "remind me {at} mañana a las 9 comprar leche"),
        ("remind @bo tomorrow at 3 to call Bob", "remind @bo {at} to call Bob"),
        (
            "remind me, @bo um drei daran, dass es regnet",
            "remind me, @bo {at} daran, dass es regnet",
        ),
        ("remind the team tomorrow", ""),
        ("fix the tests", ""),
    ],
)
def test_a_time_is_chosen_in_place_of_one_that_can_t_be_read(said, with_time):
    assert with_moment(said) == with_time


@pytest.mark.parametrize(
    ("whom", "means_the_same"),
    [
        ("me", True),
        ("@bo", True),
        ("me, @bo", True),
        ("here", False),
        ("me and here", False),
        ("this channel", False),
        ("#payments", False),
    ],
)
def test_a_time_is_not_chosen_in_a_place_where_the_words_would_mean_another_one(
    whom, means_the_same
):
    said = f"remind {whom} tomorrow at 3 to call Bob"
    assert bool(with_moment(said, elsewhere=True)) is means_the_same
    assert with_moment(said)


@pytest.mark.parametrize(
    "said",
    [
        "remind the team tomorrow 9 to call",
        "reminders are useful",
    ],
)
def test_what_is_no_reminder_is_a_prompt(said):
    parsed = parse(said)
    assert isinstance(parsed, Prompt)
    assert parsed.text == said
    assert parsed.resembles is None or "remind" in parsed.resembles


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("reminders", Reminders()),
        ("Reminders.", Reminders()),
        ("reminders stop r-7f3k", Reminders(act="stop", short="r-7f3k")),
        (
            "reminders snooze r-7f3k in 10 minutes",
            Reminders(act="snooze", short="r-7f3k", rest="in 10 minutes"),
        ),
    ],
)
def test_reminders_are_named_by_their_short_ids(said, expected):
    assert parse(said) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("automations", Automations()),
        ("@ona Automations.", Automations()),
        ("automations run nightly", Automations(act="run", name="nightly")),
        ("automations pause shop/nightly.", Automations(act="pause", name="shop/nightly")),
        ("automations resume a-7f3kd", Automations(act="resume", name="a-7f3kd")),
        ("automations RUN v1.2_x", Automations(act="run", name="v1.2_x")),
    ],
)
def test_automations_are_run_paused_and_resumed_by_name(said, expected):
    assert parse(said) == expected


@pytest.mark.parametrize(
    "said", ["automations are broken", "automations run", "automations run a b", "automations x y"]
)
def test_what_only_begins_like_it_is_a_prompt(said):
    assert isinstance(parse(said), Prompt)


@pytest.mark.parametrize(
    "text",
    [
        "private: x",
        " Private : x",
        "new: private: x",
        "private: new: x",
        "NOW:private:x",
        "project=web private: x",
        "new: repo=acme/web  branch=b private : model=m x",
        "Agent=claude-code private:x",
        "project=private: x",
        "project=aprivate: x",
        "other=web private: x",
        "project= private: x",
        "x private: y",
        "privately: x",
        "is private",
        "@ona private: x",
        " /ona: project=web private: x",
        "@ona-too private: x",
        "@ben private: x",
        "",
    ],
)
def test_what_surfaces_hide_is_what_is_private(text):
    asked = parse(text)
    is_hidden = isinstance(asked, Prompt) and asked.private
    assert is_private(text, "ona") == is_hidden


def test_what_a_prompt_is_for_may_stand_before_or_behind_its_options():
    asked = parse("project=web private: model=m now: do it")
    assert isinstance(asked, Prompt)
    assert (asked.text, asked.private, asked.now) == ("do it", True, True)
    assert asked.options == {"project": "web", "model": "m"}
    assert parse("project=web aside: not you") == Aside()


@pytest.mark.parametrize("unit", [", ", " ", ";", "(", "@ona ", "remind me to ", "and ", "a=b "])
def test_a_long_message_is_read_as_soon_as_a_short_one(unit):
    """As long as a comment on a forge may be: whoever wrote it keeps nobody else waiting."""
    assert isinstance(parse(f"fix it{unit * (65_536 // len(unit))}x"), Prompt)


@pytest.mark.parametrize(
    "text",
    [
        "allow api.test:443",
        "@ona Allow API.test:443",
        "allow `api.test:443`",
        "allow http://api.test:443",
        "allow https://api.test:443/",
    ],
)
def test_a_destination_is_allowed_by_its_host_and_port(text):
    assert parse(text) == Allow(host="api.test", port=443)


@pytest.mark.parametrize(
    "text",
    [
        *("allow caching", "allow api.test", "allow api:443", "allow *.api.test:443"),
        *("allow api.test:443 and more", "allow `api.test:443", "allow api.test:443/path"),
        *("allow b\u00fccher.test:443", "allow api.test:", "allow api.test:999999", "allow"),
    ],
)
def test_anything_else_that_begins_with_allow_is_a_prompt(text):
    assert isinstance(parse(text), Prompt)
