"""Files of automations: what is read of them, and how each mistake is said."""

import json
from datetime import datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.automate.definition import (
    Cron,
    Definition,
    PullRequestTrigger,
    Push,
    ShellStep,
    digest,
    kept,
    restored,
)
from bot.automate.files import parsing, yaml_tree
from bot.automate.files.file_words import told
from bot.automate.files.parsing import FILES_MAX, LeftAlone, Ours, Wrong, distinct, read
from bot.automate.files.yaml_tree import BYTES_MAX, DEPTH_MAX, VALUES_MAX
from bot.words.catalogue import again, speaking
from bot.words.catalogue import kept as kept_words

HEAD = "schema: ona/automation/v1\nname: nightly\nsteps:\n  - prompt: look\n"
TRIGGERS = (
    "`cron`, `at`, `webhook`, `pull_request`, `push`, `issue_labelled`, `ci_failed`, `message`"
)
UNSEEN = "expected: text without hidden characters; found: "
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
LIST = "a list: a line with `- ` for each entry"
PLACE = "a place such as slack:#deploys or discord:#deploys"
WRONG = [
    (
        "triggers:\n  - crn: 0 9 * * *\n",
        [
            f"6:5: triggers[0].crn: expected: one of the keys {TRIGGERS}, `after`; found: crn;"
            " did you mean cron?"
        ],
    ),
    (
        "triggers:\n  - cron: 0 9 * *\n",
        [
            "6:11: triggers[0].cron: expected: five fields of cron: minute, hour, day of the"
            " month, month, day of the week; found: 0 9 * *"
        ],
    ),
    (
        "triggers:\n  - cron: 61 9 * * *\n",
        ["6:11: triggers[0].cron: expected: a minute from 0 to 59; found: 61"],
    ),
    (
        "triggers:\n  - cron: 0 9 30 2 *\n",
        [
            "6:11: triggers[0].cron: expected: a day that comes: none of its months has that one;"
            " found: 0 9 30 2 *"
        ],
    ),
    (
        "triggers:\n  - cron: * * * * *\n",
        ["6:12: expected: quotes around a value that begins with *; found: - cron: * * * * *"],
    ),
    (
        "triggers:\n  - cron: 0 9 * * *\n    zone: Mars/Base\n",
        ["7:11: triggers[0].zone: expected: a time zone such as Europe/Berlin; found: Mars/Base"],
    ),
    (
        "triggers:\n  - cron: 0 9 * * *\n    webhook:\n",
        [
            "7:5: triggers[0].webhook: expected: one of its kinds in an entry: each begins with"
            " `- ` in a line of its own; found: cron + webhook"
        ],
    ),
    (
        "triggers:\n  - push\n",
        [
            f"6:5: triggers[0]: expected: one of the keys {TRIGGERS}, `after`, with a colon and"
            " its value; found: push; did you mean push?"
        ],
    ),
    (
        "triggers:\n  - push:\n  - push:\n",
        ["7:5: triggers[1]: expected: each trigger once; found: the same as one before"],
    ),
    (
        "triggers:\n  - pull_request: [openned]\n",
        [
            "6:20: triggers[0].pull_request[0]: expected: one of `opened`, `updated`, `ready`,"
            " `approved`, `merged`, `closed`, `review_requested`; found: openned; did you mean"
            " opened?"
        ],
    ),
    (
        "triggers:\n  - pull_request: opened\n",
        [f"6:19: triggers[0].pull_request: expected: {LIST}; found: opened"],
    ),
    (
        "limits:\n  parallel: 0\n  targets: lots\n  money: -1\n",
        [
            "6:13: limits.parallel: expected: at least 1; found: 0",
            "7:12: limits.targets: expected: a whole number; found: lots",
            "8:10: limits.money: expected: more than 0; found: -1",
        ],
    ),
    (
        "name: again\n",
        [
            "5:1: name: expected: each key once; it stands in line 2 already; found: name",
        ],
    ),
    (
        "overlap: skipp\n",
        [
            "5:10: overlap: expected: one of `skip`, `queue`, `cancel`; found: skipp; did you"
            " mean skip?"
        ],
    ),
    (
        "report_to: [somewhere, 'slack:#deploys']\n",
        [f"5:13: report_to[0]: expected: {PLACE}; found: somewhere"],
    ),
    (
        "triggers:\n  - message:\n      channel: '#ops'\n      matches: (a\n",
        [
            f"7:16: triggers[0].message.channel: expected: {PLACE}; found: #ops",
            "8:16: triggers[0].message.matches: expected: a regular expression whose brackets"
            " are closed; found: (a",
        ],
    ),
    (
        "triggers:\n  - at: 2026-03-29T02:30\n    zone: Europe/Berlin\n",
        [
            "6:9: triggers[0].at: expected: a time that comes: the clocks are set forward over"
            " this one; found: 2026-03-29 02:30"
        ],
    ),
    (
        "triggers:\n  - cron: 0 9 * * *\n    zone: Europe/Berlin\n"
        "    starts: 2027-01-31T09:00+01:00\n    ends: 2027-01-31T09:00\n",
        ["9:11: triggers[0].ends: expected: a moment after `starts`; found: 2027-01-31 09:00"],
    ),
    (
        "triggers:\n  - at: tomorrow\n",
        [
            "6:9: triggers[0].at: expected: a moment such as 2026-12-24T09:00; found: tomorrow",
        ],
    ),
    (
        "triggers:\n  - after:\n      automation: nightly\n",
        [
            "7:19: triggers[0].after.automation: expected: another automation than itself;"
            " found: nightly"
        ],
    ),
    (
        "description: &x foo\nagent: *x\n",
        [
            "5:14: description: expected: the value itself, as anchors and aliases are not read;"
            " * and & in quotes are text; found: &x"
        ],
    ),
    (
        "description: !!python/object:os.system x\n",
        [
            "5:14: description: expected: a value without a tag; found:"
            " tag:yaml.org,2002:python/object:os.system"
        ],
    ),
    ("---\nfoo: 1\n", ["5:1: expected: one document in a file; found: ---"]),
    ("triggers:\n\t- push:\n", ["6:1: expected: spaces instead of tabs; found: - push:"]),
    (
        "context:\n  repositories: 12\n  search: {forge: githb, query: x}\n",
        [
            f"6:17: context.repositories: expected: {LIST}; found: 12",
            "7:19: context.search.forge: expected: one of `github`, `gitlab`; found: githb; did"
            " you mean github?",
        ],
    ),
    (
        "runs_as: 12\n",
        ["5:10: runs_as: expected: text (in quotes, if it looks like a number); found: 12"],
    ),
    (
        "triggers:\n  - webhook:\n      filter: {'a..b': 1, c: {d: 1}}\n",
        [
            "7:24: triggers[0].webhook.filter.a..b: expected: keys with dots between them, such"
            " as data.state; found: a..b",
            "7:30: triggers[0].webhook.filter.c: expected: a value, or a list of those that"
            " count; found: {d: …}",
        ],
    ),
    (
        "triggers:\n  - issue_labelled: []\n",
        ["6:21: triggers[0].issue_labelled: expected: entries: at least 1; found: []"],
    ),
    (
        "context:\n  add_projects: maybe\n",
        ["6:17: context.add_projects: expected: true or false; found: maybe"],
    ),
    (
        "coalesce_seconds: 1.5\nreport: allways\ndescription: null\n",
        [
            "5:19: coalesce_seconds: expected: a whole number; found: 1.5",
            "6:9: report: expected: one of `always`, `actionable`; found: allways; did you mean"
            " always?",
            "7:14: description: expected: text (in quotes, if it looks like a number); found: null",
        ],
    ),
    ("description: \x07\n", [f"5:14: {UNSEEN}U+0007"]),
    ('description: "a\\0b"\n', [f"5:14: description: {UNSEEN}U+0000"]),
    ('description: "\\ud800"\n', [f"5:14: description: {UNSEEN}U+D800"]),
    ('context: {"\\0": 1}\n', [f"5:11: context: {UNSEEN}U+0000"]),
    (
        "description: |\n  one\n  two th\u202eree\n",
        [f"7:9: description: {UNSEEN}U+202E RIGHT-TO-LEFT OVERRIDE"],
    ),
    ("description: \U0001f468\u200drm\n", [f"5:15: description: {UNSEEN}U+200D ZERO WIDTH JOINER"]),
    ("des\u200bcription: a\n", [f"5:4: {UNSEEN}U+200B ZERO WIDTH SPACE"]),
    (
        "triggers: {cron: 0 9 * * *}\nlimit: 1\n",
        [
            f"5:11: triggers: expected: {LIST}; found: {{cron: …}}",
            "6:1: limit: expected: one of the keys `name`, `description`, `triggers`,"
            " `context`, `steps`, `limits`, `overlap`, `runs_as`, `report_to`, `report`,"
            " `agent`, `model`, `size`, `coalesce_seconds`; found: limit; did you mean limits?",
        ],
    ),
    (
        "triggers:\n  - push:\n      branch: main\n",
        [
            "7:7: triggers[0].push.branch: expected: one of the keys `branches`; found: branch;"
            " did you mean branches?"
        ],
    ),
    (
        "context: {a: " + "[" * 20 + "]" * 20 + "}\n",
        [f"5:25: context.a[0]: expected: at most {DEPTH_MAX} levels"],
    ),
]
"""What stands behind the head, and what is said of it, each with the file's name before it."""
WHOLE = [
    (
        "schema: ona/automation/v1\nname: a b\nsteps: []\n",
        [
            "2:7: name: expected: letters, digits, dots, dashes and underscores, a letter or a"
            " digit first; found: a b",
            "3:8: steps: expected: entries: at least 1; found: []",
        ],
    ),
    (
        "schema: ona/automation/v1\nname: a\nsteps:\n  - run: make\n  - post:\n      text: hi\n",
        [
            "6:7: steps[1].post: expected: a place in `to` where `report_to` names none;"
            " found: {text: …}"
        ],
    ),
    (
        "schema: ona/automation/v1\nsteps:\n  - promt: x\n",
        [
            "1:1: expected: the key `name`",
            "3:5: steps[0].promt: expected: one of the keys `prompt`, `run`, `pull_request`,"
            " `report`, `post`; found: promt; did you mean prompt?",
        ],
    ),
    (
        "schema: ona/automation/v1\nname: a\nsteps:\n  - report:\n",
        [
            "1:1: expected: a step with `prompt:` or `run:`, as the others do no work;"
            " found: {name: …, steps: …}"
        ],
    ),
    (
        "schema: ona/automation/v1\n- x\n",
        [
            "2:1: expected: the same distance from the left as what it belongs to; found: - x",
        ],
    ),
    (
        "schema: ona/automation/v1\nname\nsteps: []\n",
        ["3:1: expected: a colon behind the key; found: steps: []"],
    ),
]


IMPOSSIBLE = [
    ('description: "x \\UFFFFFFFF"\n', "5:19: expected: characters and numbers that there are"),
    ('description: "x \\U00110000"\n', "5:19: expected: characters and numbers that there are"),
    *(
        (
            f"triggers:\n  - at: {at}\n    zone: {zone}\n",
            "6:9: triggers[0].at: expected: a moment from the year 2000 to 2199",
        )
        for at, zone in (
            ("0001-01-01T00:00", "Asia/Tokyo"),
            ("9999-12-31T23:59", "America/Los_Angeles"),
            ("9999-12-31T23:59-14:00", "UTC"),
            ("20", "UTC"),
        )
    ),
    *(
        (
            f"triggers:\n  - cron: 0 9 29 2 *\n    {edge}: {at}\n",
            f"7:{5 + len(edge) + 2}: triggers[0].{edge}: expected: a moment from the year 2000"
            " to 2199",
        )
        for edge in ("starts", "ends")
        for at in ("0001-01-01T00:00", "9997-12-31T23:59")
    ),
    *(
        (
            f'description: "{hidden}"\n',
            f"5:{column}: description: {UNSEEN}{found}",
        )
        for hidden, column, found in (
            ("\\u202eevil", 14, "U+202E RIGHT-TO-LEFT OVERRIDE"),
            ("\u2066evil", 15, "U+2066 LEFT-TO-RIGHT ISOLATE"),
            ("\\U000e0041", 14, "U+E0041 TAG LATIN CAPITAL LETTER A"),
            ("\U000e007f", 15, "U+E007F CANCEL TAG"),
            ("\\x9b2J", 14, "U+009B"),
        )
    ),
]
"""What the reader of YAML or the calendar gives up at, and what a person would not see."""


def said(text: str) -> list[str]:
    found = read("a.yaml", text.encode())
    assert isinstance(found, Wrong)
    return [told(found.path, fault) for fault in found.faults]


@pytest.mark.parametrize(("rest", "expected"), WRONG)
def test_a_mistake_is_said_with_its_place(rest, expected):
    assert said(HEAD + rest) == [f"a.yaml:{one}" for one in expected]


@pytest.mark.parametrize(("rest", "expected"), IMPOSSIBLE)
def test_what_nobody_can_have_meant_or_see_is_said(rest, expected):
    (found,) = said(HEAD + rest)
    assert found.startswith(f"a.yaml:{expected}")


@pytest.mark.parametrize(
    "emoji", ["\U0001f1e9\U0001f1ea", ENGLAND, "\U0001f468\u200d\U0001f469", "1\ufe0f\u20e3"]
)
@pytest.mark.parametrize("write", [str, json.dumps], ids=["plain", "escaped in halves"])
def test_emoji_of_several_characters_are_read(emoji, write):
    found = read("a.yaml", f"{HEAD}description: {write(f'all {emoji} of it')}\n".encode())
    assert found.definition.description == f"all {emoji} of it"


def test_a_version_that_is_no_number_is_said():
    assert said(f"%YAML {'9' * 5000}.1\n---\n{HEAD}") == [
        "a.yaml:1:7: expected: characters and numbers that there are"
    ]


@pytest.mark.parametrize(("text", "expected"), WHOLE)
def test_a_mistake_in_the_whole_is_said(text, expected):
    assert said(text) == [f"a.yaml:{one}" for one in expected]


def test_a_mistake_is_said_in_another_language_later():
    found = read("a.yaml", (HEAD + "overlap: 1\n").encode())
    assert isinstance(found, Wrong)
    stored = kept_words(told(found.path, found.faults[0]))
    with speaking("de"):
        assert again(stored) == (
            "a.yaml:5:10: overlap: erwartet: eins von `skip`, `queue`, `cancel`; gefunden: 1"
        )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it does not say `schema: ona/automation/v1`"),
        ("- x\n", "it does not say `schema: ona/automation/v1`"),
        ("a: [\n", "it does not say `schema: ona/automation/v1`"),
        ("schema: ona/automation/v2\n", "its schema is ona/automation/v2"),
        ("schema: [1]\nname: a\n", "its schema is […]"),
    ],
)
def test_what_is_not_ours_is_left_alone(text, why):
    assert read("x.yml", text.encode()) == LeftAlone(path="x.yml", why=why)


def test_a_file_is_read():
    text = HEAD + (
        "description: yes\n"
        "triggers:\n"
        "  - cron: '*/5 22 * * 1-5'\n"
        "    zone: Europe/Berlin\n"
        "  - pull_request: [opened, ready]\n"
        "    labels: [on, 'no']\n"
        "    drafts: yes\n"
        "  - push:\n"
    )
    found = read("a.yaml", b"\xef\xbb\xbf# ours\n" + text.encode())
    assert isinstance(found, Ours)
    assert found.spot == yaml_tree.Spot(line=3, column=7)
    assert found.definition.description == "yes"
    assert found.definition.triggers == (
        Cron(cron="*/5 22 * * 1-5", zone="Europe/Berlin"),
        PullRequestTrigger(pull_request=("opened", "ready"), labels=("on", "no"), drafts=True),
        Push(push={}),
    )


def test_only_what_matters_changes_the_digest():
    one = read("a.yaml", HEAD.encode())
    two = read("b.yaml", (HEAD + "description: other\nlimits: {parallel: 5}\n").encode())
    three = read("b.yaml", HEAD.replace("prompt: look", "run: look").encode())
    assert isinstance(one, Ours)
    assert isinstance(two, Ours)
    assert isinstance(three, Ours)
    assert digest(one.definition) == digest(two.definition)
    assert digest(one.definition) != digest(three.definition)
    assert three.definition.steps == (ShellStep(run="look"),)
    assert restored(kept(two.definition)) == two.definition


def test_a_name_is_there_once():
    found = distinct(
        read(path, text.encode())
        for path, text in (("b.yaml", HEAD), ("a.yaml", HEAD), ("c.yaml", "x: 1\n"))
    )
    assert [type(one) for one in found] == [Ours, Wrong, LeftAlone]
    assert isinstance(found[1], Wrong)
    (fault,) = found[1].faults
    assert told("b.yaml", fault) == (
        "b.yaml:2:7: name: expected: a name of its own: a.yaml has this one; found: nightly"
    )


def test_the_limits_hold():
    room = BYTES_MAX - len(HEAD)
    assert isinstance(read("a.yaml", (HEAD + "#" * room).encode()), Ours)
    assert said(HEAD + "#" * (room + 1)) == [
        f"a.yaml:1:1: expected: at most {BYTES_MAX:,} bytes; found: {BYTES_MAX + 1:,}"
    ]
    many = "context:\n  repositories: [" + "a," * VALUES_MAX + "]\n"
    assert said(HEAD + many)[0].endswith(f"expected: at most {VALUES_MAX:,} values")
    assert FILES_MAX >= 100


def test_what_is_not_utf_8_is_said():
    found = read("a.yaml", HEAD.encode() + b"description: \xff\n")
    assert isinstance(found, Wrong)
    assert told("a.yaml", found.faults[0]) == "a.yaml:5:1: expected: text in UTF-8"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda some: (
        st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=8), some, max_size=4)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data):
    found = read("a.yaml", b"schema: ona/automation/v1\n" + data)
    assert isinstance(found, Ours | Wrong | LeftAlone)


@given(st.dictionaries(st.sampled_from(list(Definition.model_fields)), PLAIN))
def test_no_values_break_the_reader(values):
    text = yaml.safe_dump({"schema": parsing.SCHEMA, **values})
    found = read("a.yaml", text.encode())
    assert isinstance(found, Ours | Wrong)
    if isinstance(found, Wrong):
        assert all(told("a.yaml", one) for one in found.faults)


def test_a_moment_with_an_offset_is_one():
    found = read("a.yaml", (HEAD + "triggers:\n  - at: 2026-12-24T09:00+01:00\n").encode())
    assert isinstance(found, Ours)
    assert found.definition.triggers[0].at == datetime.fromisoformat("2026-12-24T09:00+01:00")
