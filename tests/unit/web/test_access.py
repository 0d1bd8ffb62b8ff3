"""Who may do what."""

import pytest

from bot.errors import Refused
from bot.govern.access import Act, Standing, may, require
from bot.govern.agents import Agents
from bot.govern.credentials import csrf_holds, csrf_token
from bot.govern.projects import NewProject, check
from bot.store.ids import new_id
from bot.web.headers import host_name
from bot.words.amounts import prompts

OPERATORS = {
    Act.PEOPLE,
    Act.HOST_FILES,
    Act.SURFACES,
    Act.HALT,
    Act.SECRETS,
    Act.AUDIT,
    Act.POLICY,
    Act.BUDGET,
    Act.AUTOMATIONS,
    Act.DELETE,
}


def standing(*, active=True, operator=False):
    return Standing(person_id=new_id(), name="Ann", active=active, operator=operator)


def test_everybody_may_work_and_only_operators_manage_people_and_open_the_hosts_files():
    for act in Act:
        assert may(standing(), act) is (act not in OPERATORS)
        assert may(standing(operator=True), act)


@pytest.mark.parametrize("act", list(Act))
def test_deactivated_people_may_nothing(act):
    assert not may(standing(active=False, operator=True), act)
    with pytest.raises(Refused, match="deactivated"):
        require(standing(active=False), act)


def test_a_form_token_belongs_to_one_browser_session():
    assert csrf_holds("secret", csrf_token("secret"))
    assert not csrf_holds("other", csrf_token("secret"))
    assert not csrf_holds("secret", "")
    assert not csrf_holds("secret", "é")


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "-a", "a b", "x" * 64, "a\n"])
def test_names_that_are_no_directory_are_no_project(name):
    with pytest.raises(Refused):
        check(NewProject(name=name, repository_url="/srv/a"), (), Agents())


def test_host_headers_are_reduced_to_their_name():
    assert host_name("Localhost:8484") == "localhost"
    assert host_name("[::1]:8484") == "[::1]"
    assert host_name("evil.example:80@127.0.0.1") == "127.0.0.1"
    assert host_name("[broken") == ""
    assert prompts(1) == "1 prompt"
