"""What a preview's host name says for itself, when the program in the machine can't yet."""

from html import escape

from starlette.responses import HTMLResponse, Response

from bot.errors import OnaError, Retry

AGAIN_SECONDS = 2
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'"
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;"
    "color-scheme:light dark}"
)


def waking() -> Response:
    """That the machine wakes."""
    text = "The machine of this session was at rest. The page comes as soon as it is awake."
    return _page(503, "The machine wakes …", text, again=True)


def failed(status: int, error: OnaError) -> Response:
    """What went wrong, and what to do; looked at again by itself where that can help."""
    words = ". ".join(_sentence(part) for part in (error.happened, error.kept, error.do) if part)
    again = isinstance(error, Retry) or "listens on port" in error.happened
    return _page(status, "No preview", f"{words}.", again=again)


def _sentence(clause: str) -> str:
    return clause[:1].upper() + clause[1:].rstrip(".")


def _page(status: int, title: str, text: str, *, again: bool) -> Response:
    refresh = f'<meta http-equiv="refresh" content="{AGAIN_SECONDS}">' if again else ""
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width">{refresh}<style>{_STYLE}</style>'
        f"<main><h1>{escape(title)}</h1><p>{escape(text)}</p></main></html>"
    )
    headers = {"cache-control": "no-store", "content-security-policy": _POLICY}
    return HTMLResponse(html, status_code=status, headers=headers)
