"""Addresses of conversations, and URLs of repositories."""

import pytest

from adapters.chat.port import Rejected
from adapters.forge.gitlab.places import Place, project_path
from adapters.forge.gitlab.urls import host_of, repository_name


@pytest.mark.parametrize(
    ("place", "kind", "discussion", "internal"),
    [
        ("acme/api!12", "merge_requests", "", False),
        ("acme/deep/er/a.p-i_#7", "issues", "", False),
        ("acme/api!12/d0a1b2c", "merge_requests", "0a1b2c", False),
        ("acme/api#7/internal", "issues", "", True),
        ("acme/api!12/d0a1b2c/internal", "merge_requests", "0a1b2c", True),
    ],
)
def test_an_address_is_read_and_written(place, kind, discussion, internal):
    read = Place.read(place)
    assert (read.kind, read.discussion, read.internal) == (kind, discussion, internal)
    assert str(read) == place
    assert str(read.whole) == place.replace("/d0a1b2c", "")


@pytest.mark.parametrize(
    "place",
    [
        "",
        "acme!1",
        "acme/api",
        "acme/api!",
        "acme/api!0",
        "acme/api!1/dXY",
        "acme/api!1/internal/d1",
    ],
)
def test_anything_else_is_rejected(place):
    with pytest.raises(Rejected):
        Place.read(place)


def test_a_project_is_one_part_of_a_path():
    assert project_path("acme/api") == "/projects/acme%2Fapi"
    assert Place.read("acme/api#7").path == "/projects/acme%2Fapi/issues/7"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://gitlab.test/acme/api.git", "acme/api"),
        ("https://GitLab.test:443/acme/deep/api/", "acme/deep/api"),
        ("https://user:secret@gitlab.test/acme/api", "acme/api"),
        ("ssh://git@gitlab.test:2222/acme/api.git", "acme/api"),
        ("git@gitlab.test:acme/api.git", "acme/api"),
        ("gitlab.test:/acme/api.git", "acme/api"),
        ("https://www.gitlab.test/acme/api", "acme/api"),
        ("ssh://git@altssh.gitlab.test:443/acme/api.git", "acme/api"),
        ("https://gitlab.test:8443/acme/api.git", None),
        ("http://gitlab.test/acme/api.git", "acme/api"),
        ("https://gitlab.test.evil.test/acme/api.git", None),
        ("https://evil.test/gitlab.test/acme/api", None),
        ("git@evil.test:acme/api.git", None),
        ("https://gitlab.test/acme", None),
        ("https://gitlab.test/acme/api/-/merge_requests/1", None),
        ("https://gitlab.test/acme/a pi", None),
        ("file:///acme/api", None),
        ("/srv/acme/api", None),
        ("https://gitlab.test:port/acme/api", None),
        ("https://[gitlab/acme/api", None),
        ("", None),
    ],
)
def test_the_name_of_a_repository(url, name):
    assert repository_name(url, "https://gitlab.test") == name


def test_a_gitlab_below_a_path():
    base = "https://host.test/gitlab"
    assert repository_name("https://host.test/gitlab/acme/api.git", base) == "acme/api"
    assert repository_name("https://host.test/acme/api.git", base) is None
    assert repository_name("git@host.test:acme/api.git", base) == "acme/api"


def test_a_host_has_a_port_where_it_is_not_the_usual_one():
    assert host_of("https://GitLab.test:443/x") == "gitlab.test"
    assert host_of("http://127.0.0.1:8080") == "127.0.0.1:8080"
