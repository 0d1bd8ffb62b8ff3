import pytest

from adapters.chat.port import Rejected
from adapters.forge.github.place import Place, repository_of, web_address


@pytest.mark.parametrize("place", ["acme/shop#12", "a-b/c.d_e#1/r456"])
def test_a_place_is_read_as_it_is_written(place):
    assert str(Place.read(place)) == place


@pytest.mark.parametrize(
    "place",
    ["", "shop#1", "acme/shop", "acme/shop#", "a/b/c#1", "a/b#1\n", "a/b#1/r", "a/..#1", "a/.#1"],
)
def test_what_is_no_place_is_rejected(place):
    with pytest.raises(Rejected):
        Place.read(place)


def test_an_inline_thread_is_a_part_of_its_pull_request():
    inline = Place.read("acme/shop#12/r456")
    assert str(inline.whole) == "acme/shop#12"
    assert inline.owner == "acme"


@pytest.mark.parametrize(
    ("api", "web"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://api.acme.ghe.com/", "https://acme.ghe.com"),
        ("https://git.acme.test/api/v3", "https://git.acme.test"),
        ("https://git.acme.test:8443/api/v3", "https://git.acme.test:8443"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
    ],
)
def test_people_see_it_beside_its_api(api, web):
    assert web_address(api) == web


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/shop",
        "https://github.com/acme/shop.git",
        "https://github.com/acme/shop/",
        "https://GitHub.com:443/acme/shop",
        "http://github.com/acme/shop.git",
        "https://token:x@github.com/acme/shop.git",
        "git@github.com:acme/shop.git",
        "github.com:acme/shop",
        "git@github.com:/acme/shop.git",
        "ssh://git@github.com/acme/shop.git",
        "ssh://git@github.com:22/acme/shop",
        "git://github.com/acme/shop.git",
        "https://www.github.com/acme/shop",
        "https://github.com./acme/shop",
        "ssh://git@ssh.github.com:443/acme/shop.git",
    ],
)
def test_a_repository_is_known_by_each_of_its_addresses(url):
    assert repository_of(url, "https://github.com") == "acme/shop"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme/shop",
        "/srv/git/shop.git",
        "https://gitlab.com/acme/shop",
        "https://github.com.evil.test/acme/shop",
        "https://github.com:8443/acme/shop",
        "https://github.com/acme",
        "https://github.com/acme/..",
        "https://github.com/acme/shop/tree/main",
        "file:///github.com/acme/shop",
        "git@gitlab.com:acme/shop.git",
        "https://[broken/acme/shop",
        "https://github.com:x/acme/shop",
    ],
)
def test_what_is_elsewhere_has_no_name_here(url):
    assert repository_of(url, "https://github.com") is None


def test_a_port_of_ssh_is_not_the_webs():
    web = "https://git.acme.test:8443"
    assert repository_of("ssh://git@git.acme.test:7999/acme/shop", web) == "acme/shop"
    assert repository_of("https://git.acme.test:8443/acme/shop", web) == "acme/shop"
    assert repository_of("https://git.acme.test/acme/shop", web) is None
