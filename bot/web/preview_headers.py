"""What of a message's head passes between a browser and a program in a machine; pure."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

COOKIE_PREFIX = "ona_"
"""Of every cookie that is ours."""

Headers = list[tuple[bytes, bytes]]
_HOP = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te"),
        *(b"trailer", b"upgrade", b"proxy-authenticate"),
    }
)
_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host"} | {b"x-real-ip"})
_FORBIDDEN = frozenset({b"strict-transport-security", b"clear-site-data", b"public-key-pins"})
"""Words of a program's answer that count for more than its own host name."""


def to_machine(
    headers: Iterable[tuple[bytes, bytes]], *, port: int, scheme: str, upgrade: bool = False
) -> Headers:
    """Of a request: without our cookies, and as if it had been asked on the machine itself.

    Development servers answer nobody who calls them by a name that they do not know.

    :param upgrade: it asks for a WebSocket
    """
    local, asked = f"localhost:{port}".encode(), b""
    kept: Headers = []
    for name, value in _named(headers):
        if name == b"host":
            asked = value
        elif name == b"cookie":
            kept += _cookies(value)
        elif name not in _HOP | _FORWARDED | {b"x-forwarded-proto", b"expect"}:
            kept.append((name, value))
    own = (f"{scheme}://".encode() + asked).lower()
    kept = [
        (name, value.replace(own, b"http://" + local))
        if name in {b"origin", b"referer"} and value.lower().startswith(own)
        else (name, value)
        for name, value in kept
    ]
    way = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    forwarded = [(b"x-forwarded-host", asked), (b"x-forwarded-proto", scheme.encode())]
    return [(b"host", local), *kept, *forwarded, *(way if upgrade else [(b"connection", b"close")])]


def to_browser(headers: Iterable[tuple[bytes, bytes]], *, port: int) -> Headers:
    """Of an answer: what is about this one origin, with addresses of the machine made relative."""
    kept: Headers = []
    for name, value in _named(headers):
        if name in _HOP | _FORBIDDEN | {b"transfer-encoding"}:
            continue
        if name == b"set-cookie":
            kept += _set_cookie(value)
        elif name == b"location":
            kept.append((name, _relative(value, port)))
        else:
            kept.append((name, value))
    given = {name for name, _ in kept}
    if b"referrer-policy" not in given:
        kept.append((b"referrer-policy", b"same-origin"))
    return [*kept, (b"x-robots-tag", b"noindex")]


def _named(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    return ((name.lower(), value) for name, value in headers)


def _cookies(value: bytes) -> Sequence[tuple[bytes, bytes]]:
    ours = COOKIE_PREFIX.encode()
    theirs = [one for one in value.split(b";") if not _is_ours(one.strip(), ours)]
    return [(b"cookie", b";".join(theirs).strip())] if theirs else []


def _is_ours(pair: bytes, prefix: bytes) -> bool:
    name = pair.partition(b"=")[0].strip()
    return name.removeprefix(b"__Host-").startswith(prefix)


def _set_cookie(value: bytes) -> Sequence[tuple[bytes, bytes]]:
    pair, *attributes = value.split(b";")
    if _is_ours(pair.strip(), COOKIE_PREFIX.encode()):
        return []
    # With a domain it would reach other previews, and maybe us.
    kept = [one for one in attributes if not one.strip().lower().startswith(b"domain")]
    return [(b"set-cookie", b";".join([pair, *kept]))]


def _relative(value: bytes, port: int) -> bytes:
    found = urlsplit(value)
    names = {f"{name}:{port}".encode() for name in ("localhost", "127.0.0.1", "[::1]")}
    if found.netloc not in names:
        return value
    path = found.path or b"/"
    rest = (b"?" + found.query if found.query else b"") + (
        b"#" + found.fragment if found.fragment else b""
    )
    return (path if path.startswith(b"/") and not path.startswith(b"//") else b"/") + rest
