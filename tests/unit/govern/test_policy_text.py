"""A policy as it is written: what it declares, on which line, and what is said of a wrong one."""

import textwrap

import pytest

from bot.errors import Refused
from bot.govern.policy_text import check_grants, read
from bot.toml_lines import lines_of
from vmpool.network.policy import decide

WHOLE = """\
# what the shop needs
[egress]
allow = [
  "api.example.com",   # its API
  '*.cdn.example.com:8443',
]
deny = ["bad.example.com", "worse.example.com"]
services = ["db.example.com:5432"]

[routes.registry]
url = "https://registry.example.com/npm/"

[grants.registry]
kind = "kv"
mode = "injected"
route = "registry"
headers = { Authorization = "Bearer {token}" }
options = { path = "registry" }

[grants."database"]
kind = "database"
mode = "handed"
"""


def test_every_line_says_where_it_stands():
    policy = read(WHOLE, "shop.toml").policy("policy of project shop, version 3")
    decided = decide(policy, "api.example.com", 443)
    assert decided.allowed
    assert "policy of project shop, version 3, line 4" in decided.reason
    assert "line 5" in decide(policy, "a.cdn.example.com", 8443).reason
    assert "line 7" in decide(policy, "worse.example.com", 443).reason
    assert "line 8" in decide(policy, "db.example.com", 5432).reason
    assert "/upstream/registry/" in decide(policy, "registry.example.com", 443).reason
    assert not decide(policy, "elsewhere.example.com", 443).allowed


def test_what_it_declares_besides_is_there_too():
    document = read(WHOLE, "shop.toml").document
    assert document.routes["registry"].url == "https://registry.example.com/npm"
    assert document.grants["registry"].headers == {"Authorization": "Bearer {token}"}
    assert document.grants["database"].mode == "handed"


def test_an_empty_one_is_one():
    assert read("", "p.toml").policy("p").rules == ()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("[egress\n", "p.toml: it is no TOML"),
        ("\n[egres]\nallow = []\n", "p.toml, line 2: egres: there is no such key"),
        ("[egress]\n\nalow = []\n", "p.toml, line 3: egress.alow: there is no such key"),
        (
            '[egress]\nallow = [\n "a.example.com",\n "b..example.com"\n]',
            "p.toml, line 4: egress.allow, entry 2 is 'b..example.com'",
        ),
        (
            '[egress]\nallow = "a.example.com"',
            "p.toml, line 2: egress.allow should be a list, but is",
        ),
        ('[egress]\ndeny = ["a:0"]', "p.toml, line 2: egress.deny, entry 1 is 'a:0': 0 is not a"),
        (
            "[retention]\nsession_days = 0",
            "line 2: retention.session_days should be greater",
        ),
        ("[retention]\nsession_days = 3651", "retention.session_days should be less than or equal"),
        ("[egress]\nallow = [7]", "egress.allow, entry 1 should be a valid string, but is 7"),
        ('[egress]\nservices = ["db.example.com"]', "line 2: egress.services, entry 1"),
        ('[routes.r]\nurl = "registry"', "line 2: routes.r.url is 'registry': an address"),
        ('[routes.r]\n\nurl = "https://u:p@h/x"', "line 3: routes.r.url is"),
        ("[routes.r]\n", "line 1: routes.r.url is missing"),
        ('[routes.R]\nurl = "https://h"', "line 1: routes.R"),
        (
            '\n[grants.g]\nkind = "kv"\nmode = "lent"',
            "p.toml, line 4: grants.g.mode should be 'inj",
        ),
        (
            '\n[grants.g]\nkind = "kv"\nmode = "injected"\nroute = "x"',
            "p.toml, line 2: grants.g.route is 'x', which no route is called",
        ),
        (
            '[grants.g]\nkind = "kv"\nmode = "handed"\nroute = "x"',
            "line 1: grants.g is handed, so it has neither",
        ),
        (
            '[grants.g]\nkind = "kv"\nmode = "injected"',
            "line 1: grants.g is injected, so it needs a route and headers",
        ),
        ("#" * 100_001, "at most 100,000 characters"),
    ],
)
def test_a_wrong_one_is_refused_with_its_line_key_and_what_was_expected(source, said):
    with pytest.raises(Refused) as refused:
        read(source, "p.toml")
    assert said in str(refused.value)


def test_the_line_of_every_key_and_entry_is_known():
    source = textwrap.dedent('''\
        title = """
        a = 1
        [no.table]
        """ # after two lines
        when = 2026-11-28 10:00:00
        "quoted key" = 'it = [1]'
        [a.b]
        c.d = [[1, 2],
          [3]]  # nested
        [[many]]
        x = { y = "}", z = [1,
          2] }
        [[many]]
        x = 1
    ''')
    found = lines_of(source)
    for path, line in {
        ("title",): 1,
        ("when",): 5,
        ("quoted key",): 6,
        ("a", "b"): 7,
        ("a", "b", "c", "d"): 8,
        ("a", "b", "c", "d", 0, 1): 8,
        ("a", "b", "c", "d", 1, 0): 9,
        ("many", 0, "x", "y"): 11,
        ("many", 0, "x", "z", 1): 12,
        ("many", 1): 13,
        ("many", 1, "x"): 14,
    }.items():
        assert found[path] == line, path
    assert ("a",) not in found
    assert not any("no" in path for path in found)


def test_what_becomes_of_work_is_declared_or_as_it_is_by_itself():
    usual = read("", "p.toml").document.delivery
    assert (usual.mode, usual.draft) == ("pull-request", True)
    assert ".github/workflows/**" in usual.protected
    said = "[delivery]\nmode = 'branch'\nprotected = ['deploy/**']\nlines_max = 10\n"
    own = read(said, "p.toml").document.delivery
    assert (own.mode, own.protected, own.lines_max) == ("branch", ("deploy/**",), 10)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mode = 'merge'", "line 2: delivery.mode should be 'pull-request', 'branch' or 'none'"),
        ("protected = ['/etc']", "line 2: delivery.protected, entry 1 is '/etc': a path from"),
        ("protected = ['../x']", "line 2: delivery.protected, entry 1"),
        ("files_max = 0", "line 2: delivery.files_max should be greater than 0"),
        ("drafts = true", "line 2: delivery.drafts: there is no such key"),
    ],
)
def test_a_wrong_line_about_it_is_refused(line, words):
    with pytest.raises(Refused) as refused:
        read(f"[delivery]\n{line}\n", "p.toml")
    assert words in str(refused.value)


HANDED = '[grants.db]\nkind = "database"\nmode = "handed"\n'
HUB = """[grants.hub]
kind = "github"
mode = "injected"
route = "/forge/github/"
headers = { Authorization = "token {tok}" }
options = { repositories = ["acme/shop"], permissions = { contents = "read" } }
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            HANDED.replace("database", "databse"),
            "p.toml, line 2: grants.db.kind is 'databse'; there are database, github, gitlab, ",
        ),
        (
            HANDED.replace("database", "kv"),
            "p.toml, line 3: grants.db.mode is 'handed'; kv is only injected",
        ),
        (HANDED, "p.toml, line 1: grants.db.options lacks role, which database needs"),
        (
            HANDED + 'options = { rol = "x" }',
            "p.toml, line 4: grants.db.options.rol is none of database, which takes mount, role",
        ),
        (
            HANDED + "options = { role = 7 }",
            "p.toml, line 4: grants.db.options.role should be a text that is not empty",
        ),
        (HUB, "p.toml, line 5: grants.hub.headers.Authorization names tok; the values of github "),
        (HUB.replace("{tok}", "{tok"), "p.toml, line 5: the grant hub has a header Authorization "),
    ],
)
def test_a_grant_that_no_issuer_takes_is_refused_when_it_is_set(source, said):
    with pytest.raises(Refused) as refused:
        check_grants(read(source, "p.toml"), "p.toml")
    assert said in str(refused.value)


def test_grants_as_they_are_meant_to_be_are_taken():
    check_grants(read(HUB.replace("tok}", "token}"), "p.toml"), "p.toml")
    check_grants(read(HANDED + 'options = { role = "demo-app" }', "p.toml"), "p.toml")


def test_people_are_asked_unless_the_policy_says_no():
    assert read("", "p.toml").document.egress.ask
    assert not read("[egress]\nask = false\n", "p.toml").document.egress.ask
