"""A chat surface: a real HTTP server with accounts, threads, posts, edits, marks and bad days.

It keeps everything it was told, and says how a person would read it. Its markup is small but
sharp: `&name;` entities, backslash escapes, `*bold*`, `@name` mentions, and blocks between lines
of three backticks. `FakeChat` is its port.
"""

import asyncio
import itertools
import json
import math
import re
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape

import httpx2

from adapters.chat.dialect import Markdown
from adapters.chat.port import (
    AfterUncertain,
    Content,
    Deadline,
    Gone,
    Limits,
    Rate,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)

TEXT_LENGTH_MAX = 1_000
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the certificates of the world takes longer than most tests."""
UNREAD_STATUS = {404: Gone, 422: Rejected}


@dataclass(kw_only=True)
class Post:
    ref: str
    place: str
    mark: str
    texts: list[str]

    @property
    def text(self) -> str:
        return self.texts[-1]


@dataclass(kw_only=True)
class Bad:
    """One bad answer; each hook may kill or stop a process while the request is at that point."""

    received: Callable[[], None] | None = None
    """Called before anything is done."""
    throttle_seconds: float | None = None
    error: bool = False
    """500, nothing done."""
    refused: str | None = None
    """422 with these words, nothing done."""
    wait: asyncio.Event | None = None
    """Do nothing before this is set."""
    drop: bool = False
    """The connection dies before anything is done."""
    stored: Callable[[], None] | None = None
    """Called when it is done and not answered."""
    answer_wait: asyncio.Event | None = None
    drop_answer: bool = False
    """It is done, and the connection dies before the answer."""
    answered: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A text as people read it."""

    text: str
    mentions: tuple[str, ...]
    bold: tuple[str, ...]
    blocks: tuple[str, ...]


def shown(text: str) -> Shown:
    """Read the surface's markup as its clients do."""
    blocks: list[str] = []
    mentions: list[str] = []
    bold: list[str] = []
    out: list[str] = []
    for number, piece in enumerate(re.split(r"^```$\n?", text, flags=re.MULTILINE)):
        if number % 2:
            blocks.append(unescape(piece.removesuffix("\n")).replace("`\u200b", "`"))
            out.append(blocks[-1] + "\n")
            continue
        bare = re.sub(r"\\([\\*@`])", lambda found: f"\x00{ord(found[1]):03d}", piece)
        mentions += re.findall(r"@(\w+)", bare)
        bold += re.findall(r"\*([^*\n]+)\*", bare)
        out.append(unescape(re.sub(r"\x00(\d{3})", lambda found: chr(int(found[1])), bare)))
    return Shown(
        text="".join(out), mentions=tuple(mentions), bold=tuple(bold), blocks=tuple(blocks)
    )


def escape(text: str, *, code: bool) -> str:
    """Write `text` so that it is `shown` as it is."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if code:
        return text.replace("`", "`\u200b")
    return re.sub(r"[\\*@`]", lambda found: "\\" + found[0], text)


class Stars(Markdown):
    """How the surface writes what is emphasised: all of it in bold."""

    def strong(self, inner: str) -> str:
        return f"*{inner}*"

    emphasis = struck = strong

    def heading(self, inner: str, level: int) -> str:
        return self.strong(inner)

    def code(self, text: str) -> str:
        return escape(text, code=False)

    def link(self, inner: str, url: str) -> str:
        return f"{inner} ({escape(url, code=False)})"


@dataclass(kw_only=True)
class ChatServer:
    """The surface itself."""

    posts: list[Post] = field(default_factory=list)
    requests: list[tuple[str, dict]] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Places that were deleted."""
    bad: dict[str, deque[Bad]] = field(default_factory=dict)
    """What the next requests of a method meet, one each."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _refs: itertools.count = field(default_factory=lambda: itertools.count(1))
    _server: asyncio.Server | None = None
    _connections: set[asyncio.Task] = field(default_factory=set)
    url: str = ""

    async def __aenter__(self) -> "ChatServer":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def behave(self, method: str, *bad: Bad) -> None:
        self.bad.setdefault(method, deque()).extend(bad)

    def texts(self, place: str) -> list[str]:
        return [shown(post.text).text for post in self.posts if post.place == place]

    def marks(self) -> list[str]:
        return [post.mark for post in self.posts]

    async def until(self, true: Callable[[], bool], seconds: float = 100) -> None:
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(true)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
                body = json.loads(await reader.readexactly(length))
                method = head.split(b" ")[1].decode().strip("/")
                answer = await self._answer(method, body)
                if answer is None:
                    return
                status, payload, after = answer
                data = json.dumps(payload).encode()
                writer.write(
                    b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%b" % (status, len(data), data)
                )
                await writer.drain()
                if after:
                    after()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, method: str, body: dict):
        waiting = self.bad.get(method)
        bad = waiting.popleft() if waiting else Bad()
        if bad.received:
            bad.received()
        if bad.wait:
            await bad.wait.wait()
        self.requests.append((method, body))
        if bad.drop:
            return None
        if bad.throttle_seconds is not None:
            return 429, {"retry_seconds": bad.throttle_seconds}, None
        if bad.error:
            return 500, {"error": "a bad day"}, None
        if bad.refused is not None:
            return 422, {"error": bad.refused}, None
        status, payload = self._do(method, body)
        async with self.changed:
            self.changed.notify_all()
        if bad.stored:
            bad.stored()
        if bad.answer_wait:
            await bad.answer_wait.wait()
        if bad.drop_answer:
            return None
        return status, payload, bad.answered

    def _do(self, method: str, body: dict) -> tuple[int, dict]:
        if body["place"] in self.gone:
            return 404, {"error": "there is no such thread"}
        if len(body.get("text", "")) > TEXT_LENGTH_MAX:
            return 422, {"error": "the text is too long"}
        if method == "post":
            ref = str(next(self._refs))
            self.posts.append(
                Post(ref=ref, place=body["place"], mark=body["mark"], texts=[body["text"]])
            )
            return 200, {"ref": ref}
        here = [post for post in self.posts if post.place == body["place"]]
        if method == "history":
            return 200, {"posts": [{"ref": post.ref, "mark": post.mark} for post in here]}
        for post in here:
            if post.ref == body["ref"]:
                post.texts.append(body["text"])
                return 200, {}
        return 404, {"error": "there is no such post"}


class FakeChat:
    """The port to a `ChatServer`; places are `account/thread`."""

    def __init__(
        self,
        url: str,
        *,
        after_uncertain: AfterUncertain = AfterUncertain.LOOK_UP,
        again_seconds: float = math.inf,
        rates: dict[str, Rate] | None = None,
        edit_seconds: float = 0.0,
        before_write: Callable[[str], None] | None = None,
    ) -> None:
        """`before_write` is called with a method right before its deadline is looked at."""
        self.dialect = Stars()
        self.limits = Limits(
            text_length_max=TEXT_LENGTH_MAX,
            after_uncertain=after_uncertain,
            again_seconds=again_seconds,
            rates=rates or {},
            edit_seconds=edit_seconds,
        )
        self._url = url
        self._before_write = before_write
        self._client = httpx2.AsyncClient(timeout=None, verify=NO_TLS)

    async def close(self) -> None:
        await self._client.aclose()

    def installation(self, place: str) -> str:
        return place.partition("/")[0]

    def escape(self, text: str, *, code: bool) -> str:
        return escape(text, code=code)

    async def post(self, place: str, content: Content, mark: str, deadline: Deadline) -> str:
        body = {"place": place, "text": content.text, "mark": mark}
        return str((await self._call("post", body, deadline))["ref"])

    async def edit(self, place: str, ref: str, content: Content, deadline: Deadline) -> None:
        await self._call("edit", {"place": place, "ref": ref, "text": content.text}, deadline)

    async def find(self, place: str, mark: str, deadline: Deadline) -> str | None:
        posts = (await self._call("history", {"place": place}, deadline))["posts"]
        return next((post["ref"] for post in posts if post["mark"] == mark), None)

    async def _call(self, method: str, body: dict, deadline: Deadline) -> dict:
        if self._before_write:
            self._before_write(method)
        if deadline.left_seconds <= 0:
            raise Unavailable("the deadline has passed; nothing was sent")
        try:
            async with asyncio.timeout(deadline.left_seconds):
                answer = await self._client.post(f"{self._url}/{method}", json=body)
        except httpx2.ConnectError as error:
            raise Unavailable(str(error)) from error
        except (httpx2.HTTPError, TimeoutError) as error:
            raise Uncertain(f"no answer: {error!r}") from error
        if answer.status_code == 429:
            raise Throttled(answer.json()["retry_seconds"])
        if answer.status_code >= 500:
            raise Uncertain(f"the surface answered {answer.status_code}")
        if answer.status_code in UNREAD_STATUS:
            raise UNREAD_STATUS[answer.status_code](answer.json()["error"])
        return answer.json()
