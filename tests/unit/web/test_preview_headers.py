"""What passes between a browser and a program in a machine."""

import pytest

from bot.web.preview_headers import to_browser, to_machine

HOST = b"t.preview.localhost:8484"


def sent(*headers: tuple[bytes, bytes], upgrade: bool = False) -> dict[bytes, bytes]:
    found = to_machine([(b"Host", HOST), *headers], port=3000, scheme="http", upgrade=upgrade)
    return dict(found)


def test_the_program_is_asked_on_its_own_machine() -> None:
    assert sent() == {
        b"host": b"localhost:3000",
        b"x-forwarded-host": HOST,
        b"x-forwarded-proto": b"http",
        b"connection": b"close",
    }
    assert sent(upgrade=True)[b"connection"] == b"Upgrade"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"a=1; ona_8484=secret; b=2", b"a=1; b=2"),
        (b"ona_preview=x", None),
        (b"__Host-ona_preview=x; c=ona_y", b"c=ona_y"),
        (b"a=1", b"a=1"),
    ],
)
def test_our_cookies_stay_with_us(said: bytes, told: bytes | None) -> None:
    assert sent((b"Cookie", said)).get(b"cookie") == told


def test_its_own_origin_is_the_machines() -> None:
    own = b"http://" + HOST
    there = sent((b"Origin", own), (b"Referer", own + b"/a?b"))
    assert there[b"origin"] == b"http://localhost:3000"
    assert there[b"referer"] == b"http://localhost:3000/a?b"
    other = sent((b"Origin", b"http://other.example"))
    assert other[b"origin"] == b"http://other.example"


def test_who_asks_cant_say_where_it_was_forwarded_from() -> None:
    there = sent(
        (b"X-Forwarded-For", b"1.2.3.4"),
        (b"X-Forwarded-Host", b"evil"),
        (b"X-Forwarded-Proto", b"https"),
        (b"Forwarded", b"host=evil"),
        (b"Keep-Alive", b"1"),
        (b"Accept", b"*/*"),
    )
    assert there[b"x-forwarded-host"] == HOST
    assert there[b"x-forwarded-proto"] == b"http"
    assert set(there) == {
        *(b"host", b"accept", b"connection", b"x-forwarded-host", b"x-forwarded-proto")
    }


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"a=1; Domain=preview.localhost; Path=/; HttpOnly", b"a=1; Path=/; HttpOnly"),
        (b"a=1;domain=x", b"a=1"),
        (b"ona_preview=x; Path=/", None),
    ],
)
def test_a_cookie_of_the_program_is_of_its_host_name_alone(said: bytes, told: bytes | None) -> None:
    assert dict(to_browser([(b"Set-Cookie", said)], port=3000)).get(b"set-cookie") == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"http://localhost:3000/a?b#c", b"/a?b#c"),
        (b"http://127.0.0.1:3000", b"/"),
        (b"http://localhost:3000//evil.example/", b"/"),
        (b"http://localhost:4000/a", b"http://localhost:4000/a"),
        (b"https://example.org/", b"https://example.org/"),
        (b"/a", b"/a"),
    ],
)
def test_redirects_to_the_machine_stay_in_the_preview(said: bytes, told: bytes) -> None:
    assert dict(to_browser([(b"Location", said)], port=3000))[b"location"] == told


def test_an_answer_says_nothing_about_other_origins() -> None:
    told = dict(
        to_browser(
            [
                (b"Strict-Transport-Security", b"max-age=1"),
                (b"Clear-Site-Data", b'"*"'),
                (b"Transfer-Encoding", b"chunked"),
                (b"Content-Type", b"text/html"),
                (b"Referrer-Policy", b"no-referrer"),
            ],
            port=3000,
        )
    )
    assert told == {
        b"content-type": b"text/html",
        b"referrer-policy": b"no-referrer",
        b"x-robots-tag": b"noindex",
    }
