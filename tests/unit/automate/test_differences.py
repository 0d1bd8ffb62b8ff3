"""What a proposal changes, in words; in whose name it may work; what triggers are called."""

import pytest
from pydantic import TypeAdapter

from bot.automate.definition import Context, Definition, Trigger, kept
from bot.automate.differences import differences, source_of
from bot.automate.files.parsing import Ours, read
from bot.automate.running_as import may_name
from bot.automate.trigger_words import in_full, said
from bot.govern.access import Standing
from bot.store.ids import new_id
from bot.words.catalogue import speaking

BEFORE = {
    "name": "a",
    "triggers": [{"cron": "0 9 * * *"}, {"push": {}}],
    "steps": [{"prompt": "look"}],
    "limits": {"parallel": 3},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"runs_as": "bot"}, [("runs_as is new", "", "bot")]),
        ({"limits": {"parallel": 4}}, [("limits.parallel is changed", "3", "4")]),
        (
            {"limits": {"parallel": 3, "targets": 9}},
            [("limits.targets is new", "", "9")],
        ),
        ({"triggers": [{"push": {}}]}, [("triggers[1] is gone", "cron: 0 9 * * *", "")]),
        (
            {"steps": [{"run": "make"}, {"prompt": "look"}]},
            [("steps[1] is new", "", "run: make")],
        ),
        (
            {"steps": [{"prompt": "look\nwell"}]},
            [("steps[1] is changed", "prompt: look", "prompt: |-\n  look\n  well")],
        ),
        ({"limits": None}, [("limits is gone", "parallel: 3", "")]),
    ],
)
def test_a_change_is_said_part_by_part(changes, expected):
    after = {key: one for key, one in {**BEFORE, **changes}.items() if one is not None}
    found = [(one.told, one.before, one.after) for one in differences(BEFORE, after)]
    assert found == expected


def test_a_definition_is_written_as_its_file_would_say_it():
    definition = Definition.model_validate({**BEFORE, "limits": {"money": "2.50"}})
    found = read("a.yaml", source_of(kept(definition)).encode())
    assert isinstance(found, Ours)
    assert found.definition == definition
    assert source_of({}) == ""


def somebody(*, operator=False):
    return Standing(person_id=new_id(), name="Ann", active=True, operator=operator)


OWN = Context()
ELSEWHERE = [
    Context(projects=("b",)),
    Context(repositories=("acme/b",)),
    Context.model_validate({"search": {"forge": "github", "query": "org:acme"}}),
]


def test_operators_name_anybody_and_others_themselves():
    one, other, operator = somebody(), somebody(), somebody(operator=True)
    for context in (OWN, *ELSEWHERE):
        assert may_name(operator, other, is_service=False, context=context)
        assert may_name(one, one, is_service=False, context=context)
        assert not may_name(one, other, is_service=False, context=context)


def test_a_service_account_works_on_the_own_project_alone_unless_an_operator_says_so():
    one, service = somebody(), somebody()
    assert may_name(one, service, is_service=True, context=OWN)
    for context in ELSEWHERE:
        assert not may_name(one, service, is_service=True, context=context)
        assert may_name(somebody(operator=True), service, is_service=True, context=context)


@pytest.mark.parametrize(
    ("trigger", "english", "german"),
    [
        ({"cron": "0 9 * * 1", "zone": "Europe/Berlin"}, "cron 0 9 * * 1 in Europe/Berlin", "cron"),
        (
            {"cron": "0 9 * * 1", "starts": "2026-12-01T00:00", "ends": "2027-01-31T18:00"},
            "cron 0 9 * * 1 in UTC from 2026-12-01 00:00 until 2027-01-31 18:00",
            "ab 2026-12-01 00:00 bis 2027",
        ),
        ({"at": "2026-12-24T09:00"}, "once at 2026-12-24 09:00 in UTC", "einmal um"),
        ({"webhook": None}, "a webhook", "ein Webhook"),
        ({"pull_request": ["opened", "ready"]}, "a pull request is opened, ready", "Pull-Request"),
        ({"push": None}, "a push to the default branch", "Standard-Branch"),
        ({"push": {"branches": ["main"]}}, "a push to main", "ein Push auf main"),
        ({"issue_labelled": ["bug"]}, "an issue is labelled bug", "Label"),
        ({"ci_failed": None}, "checks of a branch fail", "Prüfungen"),
        ({"message": {"channel": "slack:#ops"}}, "a message in slack:#ops", "Nachricht"),
        ({"after": {"automation": "b"}}, "a run of b ends", "ein Lauf von b endet"),
    ],
)
def test_every_trigger_has_words(trigger, english, german):
    found = TypeAdapter(Trigger).validate_python(trigger)
    assert said(found) == english
    with speaking("de"):
        assert german in said(found)


@pytest.mark.parametrize(
    ("trigger", "english"),
    [
        ({"cron": "0 9 * * 1"}, "cron 0 9 * * 1 in UTC"),
        (
            {
                "pull_request": ["opened"],
                "branches": ["main", "v*"],
                "labels": ["deps"],
                "authors": ["renovate[bot]"],
                "drafts": True,
            },
            "a pull request is opened; into main | v*; with the label deps;"
            " opened by renovate[bot]; drafts too",
        ),
        ({"pull_request": ["merged"]}, "a pull request is merged; no drafts"),
        ({"ci_failed": None}, "checks of a branch fail; on the default branch"),
        ({"ci_failed": {"branches": ["v*"]}}, "checks of a branch fail; on v*"),
        (
            {"webhook": {"filter": {"action": ["opened", "closed"], "draft": None}}},
            'a webhook; where action is "opened" | "closed"; where draft is null',
        ),
        (
            {"message": {"channel": "slack:#ops", "contains": ["down"], "matches": "db-\\d"}},
            "a message in slack:#ops; with the words down; in which db-\\d is found;"
            " at most 10 an hour",
        ),
        ({"after": {"automation": "b"}}, "a run of b ends; it has succeeded"),
    ],
)
def test_all_that_a_trigger_asks_for_has_words(trigger, english):
    assert in_full(TypeAdapter(Trigger).validate_python(trigger)) == english
