"""Which project a message means."""

import pytest

from bot.conversation.choosing import Wish, choose, linked
from bot.errors import NotFound, WhichProject

WEB = {"name": "web", "repository_url": "https://github.com/acme/web.git"}
API = {"name": "api", "repository_url": "git@github.com:acme/api"}
DOCS = {"name": "docs", "repository_url": "ssh://git@git.acme.test:2222/team/docs.git"}
LOCAL = {"name": "local", "repository_url": "/srv/local"}
ALL = (WEB, API, DOCS, LOCAL)


@pytest.mark.parametrize(
    ("wish", "name", "why"),
    [
        (Wish(name="api"), "api", "you named it"),
        (Wish(name="api", text="https://github.com/acme/web", channel="docs"), "api", "named it"),
        (Wish(repository="acme/web"), "web", "its repository"),
        (Wish(repository="acme/web.git"), "web", "its repository"),
        (Wish(text="see https://github.com/acme/web/pull/7"), "web", "linked"),
        (Wish(text="git@github.com:acme/api.git is slow", channel="web"), "api", "linked"),
        (Wish(text="https://GitHub.com/Acme/API/issues/1 please"), "api", "linked"),
        (Wish(text="https://git.acme.test:2222/team/docs/-/issues/3"), "docs", "linked"),
        (Wish(text="nothing", channel="docs"), "docs", "set for this channel"),
        (Wish(checkout=["/srv/local"]), "local", "in a checkout of it"),
        (Wish(checkout=["/srv/local/.git/"]), "local", "in a checkout of it"),
        (Wish(checkout=["file:///srv/local"]), "local", "in a checkout of it"),
        (Wish(checkout=["/home/ann/web", "git@github.com:Acme/web"]), "web", "in a checkout of it"),
        (Wish(checkout=["/srv/local"], channel="docs"), "local", "in a checkout of it"),
        (Wish(checkout=["/srv/local"], name="api"), "api", "named it"),
        (Wish(checkout=["/srv/local"], text="see https://github.com/acme/web"), "web", "linked"),
        (
            Wish(text="https://github.com/acme/other or gitlab.com/acme/web", channel="web"),
            "web",
            "set for this channel",
        ),
    ],
)
def test_what_was_said_goes_before_what_is_linked_and_that_before_what_is_set(wish, name, why):
    chosen = choose(ALL, wish)
    assert chosen.project["name"] == name
    assert why in chosen.why


def test_the_only_project_needs_no_name():
    assert choose([WEB], Wish(text="fix it")).why == "it is the only one"


@pytest.mark.parametrize(
    "wish",
    [
        Wish(text="fix it"),
        Wish(text="https://github.com/acme/web and https://github.com/acme/api"),
        Wish(text="fix it", channel="gone"),
        Wish(text="https://github.com/acme/webserver"),
        Wish(checkout=["/srv/local2", "/srv", "/local", ""]),
        Wish(checkout=["/srv/local", "git@github.com:acme/api"]),
    ],
)
def test_where_it_could_be_several_a_person_is_asked(wish):
    with pytest.raises(WhichProject, match="web, api, docs, local"):
        choose(ALL, wish)


@pytest.mark.parametrize("wish", [Wish(name="nope"), Wish(repository="acme/nope")])
def test_a_name_that_nothing_has_is_told(wish):
    with pytest.raises(NotFound, match="nope"):
        choose(ALL, wish)


def test_without_a_project_there_is_nothing_to_choose():
    with pytest.raises(NotFound, match="no project yet"):
        choose([], Wish())


def test_a_link_to_a_part_of_a_name_is_none():
    assert linked(ALL, "https://github.com/acme/we https://github.com/acme") == []
    assert linked(ALL, "https://evil.test/github.com/acme/web") == []


@pytest.mark.parametrize("home", ["https://github.com/acme/web", "git@github.com:Acme/Web.git"])
def test_in_the_conversation_of_a_repository_only_its_projects_are_meant(home):
    second = {**WEB, "name": "web-docs"}
    assert choose(ALL, Wish(home=home, channel="docs")).project is WEB
    assert choose((*ALL, second), Wish(home=home, name="web-docs")).project is second
    with pytest.raises(WhichProject, match="several") as several:
        choose((*ALL, second), Wish(home=home))
    assert "api" not in str(several.value)
    with pytest.raises(NotFound) as other:
        choose(ALL, Wish(home=home, name="api"))
    assert str(other.value).endswith("known are: web")


def test_a_repository_without_a_project_hears_of_no_other():
    with pytest.raises(NotFound) as none:
        choose(ALL, Wish(home="https://github.com/acme/else", text="https://github.com/acme/web"))
    assert not any(one["name"] in str(none.value).split() for one in ALL)
