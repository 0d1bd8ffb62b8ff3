"""Requests to models through the gateway: the key is ours, what they use is counted."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.gateway import LOOPBACK, Heard, Rig, Serve, rig, serving, talk
from vmpool.network.gateway import model_route
from vmpool.network.gateway.model_route import ModelRoute, OverBudget, Paused
from vmpool.network.gateway.ports import NoTurn, Suspended, Ungranted
from vmpool.network.model.fault import Fault
from vmpool.network.model.usage import Usage

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
START = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
DELTA = {"type": "message_delta", "usage": {"output_tokens": 30}}
STOP = {"type": "message_stop"}
TURN = uuid4()
ASKED = {"model": "claude-x", "max_tokens": 100, "messages": [], "stream": True}


def event(body: dict[str, Any]) -> bytes:
    data = f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def plain(body: dict[str, Any]) -> bytes:
    """A request on a connection that goes on."""
    data = json.dumps(body).encode()
    head = "POST /model/anthropic/v1/messages HTTP/1.1\r\nHost: gateway.ona\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


@dataclass
class Purse:
    """A meter that remembers."""

    is_empty: bool = False
    pauses: int = 0
    """How often it says that there may be money soon."""
    turns: list[UUID | None] = field(default_factory=list)
    """For which it was tried."""
    reserved: list[Any] = field(default_factory=list)
    settled: list[tuple[Any, Usage, bool]] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    providers: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def reserve(self, who, provider, asked, *, turn=None):
        self.turns.append(turn)
        self.providers.append(provider)
        if self.pauses:
            self.pauses -= 1
            raise Paused("a person is asked for more", turn=TURN)
        if self.is_empty:
            raise OverBudget("the budget of this session is used up")
        self.reserved.append(asked)
        return len(self.reserved)

    async def settle(self, charge, usage, *, is_estimate, fault):
        self.settled.append((charge, usage, is_estimate))
        self.faults.append(fault)
        self.changed.set()


@dataclass
class Desk:
    at: Rig
    purse: Purse
    has_turn: bool = True
    rests: int = 0
    """How often it says that the turn rests."""
    key: str | None = "sk-ant-ours"

    async def injected(self, who, prefix, request):
        if self.rests:
            self.rests -= 1
            raise Suspended("The turn waits for a person.", turn=TURN)
        if not self.has_turn:
            raise NoTurn("No turn is running in this session.")
        if self.key is None:
            raise Ungranted("The turn has not got its credentials yet.")
        return {"x-api-key": self.key}

    async def ask(self, body: Any, *, path: str = "v1/messages", method: str = "POST") -> bytes:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = (
            f"{method} /model/anthropic/{path} HTTP/1.1\r\nHost: gateway.ona\r\n"
            "x-api-key: placeholder\r\nauthorization: Bearer stolen\r\naccept-encoding: gzip\r\n"
            f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        return await talk(self.at.web, head.encode() + data)


@asynccontextmanager
async def desk(serve: Serve) -> AsyncIterator[Desk]:
    async with rig() as at, serving(serve) as port:
        made = Desk(at=at, purse=Purse())
        at.zone.hosts[LOOPBACK] = [LOOPBACK]
        at.routes = (
            ModelRoute(
                prefix="/model/anthropic/",
                provider="anthropic",
                base=f"http://{LOOPBACK}:{port}",
                injected=made.injected,
                paid=made.injected,
                meter=made.purse,
            ),
        )
        yield made


def streaming(*parts: bytes, then: Callable[[], Any] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        for part in parts:
            writer.write(part)
            await writer.drain()
        if then is not None:
            await then()

    return serve


async def test_a_stream_comes_as_it_is_and_is_counted_from_what_it_tells():
    sent = [SSE, event(START), event(DELTA), event(STOP), b"0\r\n\r\n"]
    async with desk(streaming(*sent)) as at:
        answer = await at.ask(ASKED)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"message_stop" in answer
    assert at.purse.settled == [(1, Usage(input_tokens=9, output_tokens=30), False)]
    assert at.purse.faults == [None]


async def test_each_event_is_passed_on_before_the_next_one_comes():
    go = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SSE + event(START))
        await writer.drain()
        await go.wait()
        writer.write(event(DELTA) + event(STOP) + b"0\r\n\r\n")
        await writer.drain()

    async with desk(serve) as at:
        reader, writer = await asyncio.open_connection(LOOPBACK, at.at.web)
        writer.write(plain(ASKED))
        async with asyncio.timeout(30):
            await reader.readuntil(b"message_start")
            go.set()
            await reader.readuntil(b"message_stop")
        writer.close()


async def test_the_key_is_ours_and_nothing_that_a_client_shows_goes_on():
    heard = Heard()
    async with desk(heard.server()) as at:
        await at.ask({**ASKED, "stream": False})
    head = heard.heads[0].lower()
    assert "x-api-key: sk-ant-ours" in head
    assert "placeholder" not in head
    assert "stolen" not in head
    assert "accept-encoding: identity" in head
    assert json.loads(heard.bodies[0]) == {**ASKED, "stream": False}


async def test_a_request_without_a_limit_goes_on_with_one_and_its_length_is_right():
    heard = Heard()
    async with desk(heard.server()) as at:
        await at.ask({"model": "claude-x"})
    assert json.loads(heard.bodies[0])["max_tokens"] == at.purse.reserved[0].worst.output_tokens


async def test_a_stream_that_is_cut_keeps_an_estimate():
    async with desk(streaming(SSE, event(START), event({"type": "x" * 400}))) as at:
        await at.ask(ASKED)
        ((_, usage, is_estimate),) = at.purse.settled
    assert is_estimate
    assert usage.input_tokens == 9
    assert usage.output_tokens > 50
    assert at.purse.faults == ["broken"]


async def test_a_stream_that_ends_in_an_error_is_the_providers_failure():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    async with desk(streaming(SSE, event(START), event(error), b"0\r\n\r\n")) as at:
        await at.ask(ASKED)
    assert at.purse.faults == ["overloaded"]


async def test_who_hangs_up_pays_what_was_under_way():
    never = asyncio.Event()
    async with desk(streaming(SSE, event(START), then=never.wait)) as at:
        reader, writer = await asyncio.open_connection(LOOPBACK, at.at.web)
        writer.write(plain(ASKED))
        await reader.readuntil(b"message_start")
        writer.close()
        await at.at.gateway.detach(at.at.who.machine)
        async with asyncio.timeout(30):
            await at.purse.changed.wait()
        ((_, usage, is_estimate),) = at.purse.settled
    assert (usage.input_tokens, is_estimate) == (9, True)
    assert at.purse.faults == [None]


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        ("400 Bad Request", None),
        ("401 Unauthorized", "denied"),
        ("429 Too Many Requests", "limited"),
        ("529 Overloaded", "overloaded"),
    ],
)
async def test_an_error_of_the_provider_is_passed_on_and_costs_nothing(status, fault):
    refusal = f"HTTP/1.1 {status}\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{{}}"
    async with desk(Heard().server(refusal.encode())) as at:
        answer = await at.ask(ASKED)
    assert answer.startswith(f"HTTP/1.1 {status[:3]}".encode())
    assert b"retry-after: 7" in answer.lower()
    assert at.purse.settled == [(1, Usage(), False)]
    assert (at.purse.providers, at.purse.faults) == (["anthropic"], [fault])


async def test_a_provider_that_is_away_costs_nothing():
    async with desk(Heard().server()) as at:
        at.at.routes = (
            ModelRoute(
                prefix="/model/anthropic/",
                provider="anthropic",
                base=f"http://{LOOPBACK}:1",
                injected=at.injected,
                paid=at.injected,
                meter=at.purse,
            ),
        )
        answer = await at.ask(ASKED)
    assert answer.startswith(b"HTTP/1.1 502")
    assert at.purse.settled == [(1, Usage(), False)]
    assert at.purse.faults == ["unreachable"]


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_without_money_the_refusal_is_the_providers_own_and_not_tried_again(provider):
    heard = Heard()
    async with desk(heard.server()) as at:
        at.purse.is_empty = True
        (route,) = at.at.routes
        at.at.routes = (
            ModelRoute(
                prefix=route.prefix,
                provider=provider,
                base=route.base,
                injected=at.injected,
                paid=at.injected,
                meter=at.purse,
            ),
        )
        path = "v1/messages" if provider == "anthropic" else "v1/responses"
        answer = await at.ask(ASKED, path=path)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ona: the budget of this session is used up.")
    said = json.loads(body)
    assert said["error"]["type"] == "invalid_request_error"
    assert said.get("type") == ("error" if provider == "anthropic" else None)
    assert heard.heads == []


async def test_between_turns_no_model_answers():
    heard = Heard()
    async with desk(heard.server()) as at:
        at.has_turn = False
        answer = await at.ask(ASKED)
    assert answer.startswith(b"HTTP/1.1 409")
    assert b"No turn is running" in answer
    assert heard.heads == []
    assert at.purse.reserved == []


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        (b"{", "v1/messages", b"no JSON"),
        (ASKED, "v1/messages/batches", b"only metered"),
        (ASKED, "v1/files", b"only metered"),
    ],
)
async def test_what_can_not_be_metered_is_refused(body, path, words):
    heard = Heard()
    async with desk(heard.server()) as at:
        answer = await at.ask(body, path=path)
    assert answer.startswith(b"HTTP/1.1 400")
    assert words in answer
    assert heard.heads == []


async def test_what_costs_nothing_is_not_reserved():
    heard = Heard()
    async with desk(heard.server()) as at:
        await at.ask(ASKED, path="v1/messages/count_tokens")
        await at.ask(b"", path="v1/models?limit=20", method="GET")
    assert [one.split()[1] for one in heard.heads] == [
        "/v1/messages/count_tokens",
        "/v1/models?limit=20",
    ]
    assert at.purse.reserved == []


async def test_a_request_over_its_limit_is_refused(monkeypatch):
    monkeypatch.setattr(model_route, "REQUEST_BYTES_MAX", 1_000)
    heard = Heard()
    async with desk(heard.server()) as at:
        with suppress(ConnectionResetError):
            answer = await at.ask({**ASKED, "messages": ["x" * 2_000]})
            assert answer.startswith(b"HTTP/1.1 413")
    assert heard.heads == []


async def test_a_request_waits_while_a_person_is_asked_and_goes_on_for_its_own_turn(monkeypatch):
    monkeypatch.setattr(model_route, "HELD_LOOK_SECONDS", 0.01)
    heard = Heard()
    async with desk(heard.server()) as at:
        at.purse.pauses = 3
        await at.ask({**ASKED, "stream": False})
    assert at.purse.turns == [None, TURN, TURN, TURN]
    assert [json.loads(body) for body in heard.bodies] == [{**ASKED, "stream": False}]
    assert len(at.purse.reserved) == 1


async def test_it_goes_on_with_the_credentials_of_then(monkeypatch):
    monkeypatch.setattr(model_route, "HELD_LOOK_SECONDS", 0.05)
    heard = Heard()
    async with desk(heard.server()) as at:
        at.purse.pauses = 1
        asking = asyncio.ensure_future(at.ask({**ASKED, "stream": False}))
        while at.purse.pauses:
            await asyncio.sleep(0.001)
        at.key = None
        await asyncio.sleep(0.2)
        assert not asking.done()
        at.key = "sk-ant-new"
        await asking
    (head,) = heard.heads
    assert "x-api-key: sk-ant-new" in head.lower()


async def test_without_credentials_nothing_waits_that_did_not_wait_before():
    heard = Heard()
    async with desk(heard.server()) as at:
        at.key = None
        answer = await at.ask(ASKED)
    assert answer.startswith(b"HTTP/1.1 409")
    assert heard.heads == []


async def test_what_waits_is_refused_once_its_turn_has_ended(monkeypatch):
    monkeypatch.setattr(model_route, "HELD_LOOK_SECONDS", 0.01)
    heard = Heard()
    async with desk(heard.server()) as at:
        at.purse.pauses = 1_000
        asking = asyncio.ensure_future(at.ask(ASKED))
        while len(at.purse.turns) < 3:
            await asyncio.sleep(0.001)
        at.has_turn = False
        answer = await asking
    assert answer.startswith(b"HTTP/1.1 409")
    assert heard.heads == []


async def test_what_is_asked_while_the_turn_rests_waits_too(monkeypatch):
    monkeypatch.setattr(model_route, "HELD_LOOK_SECONDS", 0.01)
    heard = Heard()
    async with desk(heard.server()) as at:
        at.rests = 3
        await at.ask({**ASKED, "stream": False})
    assert at.purse.turns == [TURN]
    assert len(heard.heads) == 1


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
async def test_who_waited_for_too_long_is_told_to_ask_again(provider, monkeypatch):
    monkeypatch.setattr(model_route, "HELD_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(model_route, "HOLD_SECONDS_MAX", 0.1)
    heard = Heard()
    async with desk(heard.server()) as at:
        (route,) = at.at.routes
        at.at.routes = (replace(route, provider=provider),)
        at.purse.pauses = 1_000
        path = "v1/messages" if provider == "anthropic" else "v1/responses"
        answer = await at.ask(ASKED, path=path)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ona: a person is asked for more.")
    assert b"\r\nretry-after: 5\r\n" in head.lower() + b"\r\n"
    assert json.loads(body)["error"]["type"] == "overloaded_error"
    assert heard.heads == []
    assert any("a person is asked" in one for one in at.at.denied())


async def test_a_machine_that_has_too_much_waiting_is_told_at_once(monkeypatch):
    monkeypatch.setattr(model_route, "HELD_BYTES_MAX", 1_000)
    heard = Heard()
    async with desk(heard.server()) as at:
        at.purse.pauses = 1_000
        async with asyncio.timeout(30):
            answer = await at.ask({**ASKED, "messages": ["x" * 2_000]})
    assert answer.startswith(b"HTTP/1.1 503")
    assert heard.heads == []


async def test_who_hangs_up_while_it_waits_costs_nothing(monkeypatch):
    monkeypatch.setattr(model_route, "HELD_LOOK_SECONDS", 0.01)
    heard = Heard()
    async with desk(heard.server()) as at:
        at.purse.pauses = 1_000
        _, writer = await asyncio.open_connection(LOOPBACK, at.at.web)
        writer.write(plain(ASKED))
        async with asyncio.timeout(30):
            while len(at.purse.turns) < 3:
                await asyncio.sleep(0.001)
            writer.close()
            (route,) = at.at.routes
            while route.held_bytes:
                await asyncio.sleep(0.001)
        at.purse.pauses = 0
        await asyncio.sleep(0.1)
    assert heard.heads == []
    assert at.purse.reserved == []


async def test_what_comes_after_a_held_request_on_its_connection_is_kept(monkeypatch):
    monkeypatch.setattr(model_route, "HELD_LOOK_SECONDS", 0.05)
    heard = Heard()
    async with desk(heard.server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")) as at:
        at.purse.pauses = 5
        reader, writer = await asyncio.open_connection(LOOPBACK, at.at.web)
        writer.write(plain({**ASKED, "stream": False}))
        while not at.purse.turns:
            await asyncio.sleep(0.001)
        writer.write(plain({**ASKED, "stream": False}))
        async with asyncio.timeout(30):
            for _ in range(2):
                await reader.readuntil(b"\r\n\r\n{}")
        writer.close()
    assert len(at.purse.reserved) == 2
