"""What previews are called."""

import pytest

from bot.config import Settings, WebSettings
from bot.errors import Refused
from bot.work.preview_names import (
    main_address,
    preview_address,
    preview_host,
    safe_path,
    token_of,
)

TOKEN = "0123456789abcdef" * 2


def settings(public: str | None = None, below: str = "") -> Settings:
    return Settings(public_url=public, web=WebSettings(preview_host=below))


@pytest.mark.parametrize(
    ("public", "below", "host"),
    [
        (None, "", "preview.localhost"),
        ("http://localhost:8484", "", "preview.localhost"),
        ("http://127.0.0.1:8484", "", "preview.localhost"),
        ("https://ona.example.org", "", None),
        ("https://ona.example.org", "previews.example.net", "previews.example.net"),
    ],
)
def test_previews_are_below_a_name_that_leads_here(
    public: str | None, below: str, host: str | None
) -> None:
    assert preview_host(settings(public, below)) == host


def test_an_address_has_scheme_and_port_of_ours() -> None:
    here = "http://127.0.0.1:9000/"
    assert preview_address(settings(), TOKEN, here) == f"http://{TOKEN}.preview.localhost:9000/"
    known = settings("https://ona.example.org", "p.example.net")
    assert preview_address(known, TOKEN, here) == f"https://{TOKEN}.p.example.net/"
    with pytest.raises(Refused, match="no host name"):
        preview_address(settings("https://ona.example.org"), TOKEN, here)


@pytest.mark.parametrize(
    ("host", "token"),
    [
        (f"{TOKEN}.p.example.net", TOKEN),
        (f"{TOKEN.upper()}.P.example.NET", TOKEN),
        ("p.example.net", None),
        ("x.p.example.net", None),
        (f"a.{TOKEN}.p.example.net", None),
        (f"{TOKEN}.p.example.net.evil.org", None),
        (f"{TOKEN}.", None),
        ("", None),
    ],
)
def test_which_host_names_are_previews(host: str, token: str | None) -> None:
    assert token_of(host, "p.example.net") == token
    assert token_of(host, None) is None


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ("/a?b=c#d", "/a?b=c#d"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nb", "/"),
        ("", "/"),
    ],
)
def test_only_a_path_of_the_same_origin_is_gone_to(said: str, path: str) -> None:
    assert safe_path(said) == path


def test_a_preview_knows_the_way_to_our_origin() -> None:
    assert main_address(settings(), "http", f"{TOKEN}.preview.localhost:81") == (
        "http://127.0.0.1:81"
    )
    known = settings("https://ona.example.org", "p.example.net")
    assert main_address(known, "http", f"{TOKEN}.p.example.net") == "https://ona.example.org"
