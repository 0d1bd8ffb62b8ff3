import pytest

from adapters.forge.hosts import host_name


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/acme/shop",
        "https://github.com/acme/shop.git",
        "HTTPS://GITHUB.COM/acme/shop.git",
        "https://www.github.com/acme/shop",
        "https://github.com:8443/acme/shop",
        "https://github.com./acme/shop",
        "https://github%2Ecom/acme/shop",
        "https://\uff47ithub\u3002com/acme/shop",
        "https://token:x@github.com/acme/shop.git",
        "https://github.com:port/acme/shop",
        "https://[github.com/acme/shop",
        "http://github.com",
        "git://github.com/acme/shop.git",
        "git+ssh://git@github.com/acme/shop.git",
        "ssh://git@github.com/acme/shop.git",
        "ssh://git@ssh.github.com:443/acme/shop.git",
        "git@github.com:acme/shop.git",
        "git@GitHub.com:/acme/shop.git",
        "[git@github.com:22]:acme/shop",
        "git@[github.com:22]:acme/shop",
        "github.com:acme/shop",
        " https://github.com/acme/shop\n",
    ],
)
def test_a_host_is_known_however_its_name_is_spelled(address):
    assert host_name(address) == "github.com"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("", ""),
        ("/srv/git/github.com", ""),
        ("/srv/git@github.com:x", ""),
        ("file:///github.com/acme", ""),
        ("acme/shop", ""),
        ("https://github.com.evil.test/acme/shop", "github.com.evil.test"),
        ("https://mirror.test/github.com/acme/shop", "mirror.test"),
        ("https://github.com@evil.test/acme", "evil.test"),
        ("https://git.acme.test:8443/acme/shop", "git.acme.test"),
        ("http://127.0.0.1:4000/a/b", "127.0.0.1"),
        ("http://[::1]:4000/a/b", "::1"),
        ("git@[::1]:a/b", "::1"),
        ("https://www.test/a/b", "www.test"),
        ("ssh://git@altssh.gitlab.com:443/a/b", "gitlab.com"),
    ],
)
def test_other_hosts_keep_their_names(address, host):
    assert host_name(address) == host
