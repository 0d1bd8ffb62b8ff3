"""What a turn gets of what its project declares, and what is made of what was issued."""

import math
from uuid import uuid4

import pytest
from pydantic import SecretStr

from adapters.vault.errors import Misasked
from adapters.vault.port import ANY_MODE, ONLY_HANDED, Issued, Mode, Wanted
from adapters.vault.tokens import UNWRITTEN_SECONDS
from bot.govern import grant_decisions
from bot.govern.grant_records import Whose
from bot.govern.turn_grants import Behind

READ, PUSH = "/forge/github/", "/forge/github/push"
NPM = {
    "name": "npm",
    "kind": "kv",
    "mode": "injected",
    "route": "npm",
    "headers": {"Authorization": "Bearer {token}"},
}
DB = {"name": "db", "kind": "database", "mode": "handed"}


class Issues:
    """An issuer, as far as is decided by it."""

    def __init__(self, *, seconds_max=600.0, by_token=False, modes=ANY_MODE):
        self.modes = modes
        self.by_token = by_token
        self.seconds_max = seconds_max


def own(urls):
    return [
        Wanted(
            name=f"github-{permission}",
            kind="github",
            mode=Mode.INJECTED,
            route=route,
            headers={"Authorization": "Basic {basic}"},
            options={"repositories": list(urls), "permissions": {"contents": permission}},
        )
        for route, permission in ((READ, "read"), (PUSH, "write"))
    ]


def whose(*grants, **known):
    return Whose(
        short="s-1",
        project="demo",
        repository="https://github.com/acme/shop",
        beside=[],
        grants=grants,
        prompt_id=None,
        person_id=None,
        **known,
    )


def wanted(of):
    return [[one.name for one in found] for found in grant_decisions.wanted_by(of, own)]


def test_a_turn_gets_what_is_declared_and_what_its_code_host_grants_it():
    assert wanted(whose(NPM, DB)) == [["npm", "db"], ["github-read", "github-write"]]


def test_what_is_declared_for_a_route_takes_the_place_of_what_is_not():
    mine = {**NPM, "name": "mine", "route": READ}
    assert wanted(whose(mine)) == [["mine"], ["github-write"]]


def test_a_turn_that_may_only_read_gets_what_reads():
    reads = {**NPM, "name": "docs", "reads": True}
    assert wanted(whose(NPM, reads, read_only=True)) == [["docs"], ["github-read"]]


def test_a_build_gets_what_says_so_and_nothing_else():
    builds = {**NPM, "name": "mirror", "builds": True}
    assert wanted(whose(NPM, builds, builds=True)) == [["mirror"], []]


@pytest.mark.parametrize(
    ("kind", "words"), [("gpg", "of kind gpg; there are kv, ssh"), ("ssh", "can only be handed")]
)
def test_what_nobody_issues_is_said(kind, words):
    issuers = {"kv": Issues(), "ssh": Issues(modes=ONLY_HANDED)}
    asked = Wanted(name="it", kind=kind, mode=Mode.INJECTED, route="it")
    with pytest.raises(Misasked, match=words):
        grant_decisions.issuer_of(asked, issuers)


@pytest.mark.parametrize(
    ("issuer", "seconds"),
    [
        (Issues(), 600.0),
        (Issues(seconds_max=math.inf), None),
        (Issues(by_token=True), UNWRITTEN_SECONDS),
    ],
)
def test_a_row_says_how_long_what_is_never_heard_of_again_may_live(issuer, seconds):
    asked = Wanted(name="it", kind="kv", mode=Mode.INJECTED, route="it")
    assert grant_decisions.planned(asked, issuer).seconds == seconds


def test_what_can_be_renewed_is_renewed_early_and_the_rest_is_replaced_later():
    assert grant_decisions.due(Issued(values={}, seconds=90, renewable=True), 10.0) == 40.0
    assert grant_decisions.due(Issued(values={}, seconds=90), 10.0) == 70.0


@pytest.mark.parametrize(("seconds", "lives"), [(90, True), (46, True), (45, False), (1, False)])
def test_what_gets_less_each_time_is_replaced(seconds, lives):
    before, renewed = Issued(values={}, seconds=90), Issued(values={}, seconds=seconds)
    assert grant_decisions.lives_on(renewed, before) is lives


def living(name, mode, header=""):
    return grant_decisions.Living(
        row=uuid4(),
        wanted=Wanted(
            name=name,
            kind="kv",
            mode=mode,
            route="" if mode is Mode.HANDED else "api",
            headers={header: "Bearer {token}"} if header else {},
        ),
        issuer=Issues(),
        issued=Issued(values={"token": SecretStr(f"of-{name}")}, seconds=90),
        due=0.0,
    )


def test_what_is_injected_is_added_by_route_and_what_is_handed_never_is():
    one, other = (
        living("one", Mode.INJECTED, "Authorization"),
        living("other", Mode.INJECTED, "X-Key"),
    )
    inside = living("inside", Mode.HANDED)
    every = [one, inside, other]
    added = {"Authorization": SecretStr("Bearer of-one"), "X-Key": SecretStr("Bearer of-other")}
    assert grant_decisions.routes(every) == {"api": added}
    assert grant_decisions.behind(every) == {
        "api": [Behind(id=each.row, kind="kv", name=each.wanted.name) for each in (one, other)]
    }
    assert grant_decisions.handed(every) == {"inside": {"token": SecretStr("of-inside")}}
