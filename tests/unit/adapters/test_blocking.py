"""The bridge to blocking SDKs, with real requests to real sockets."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests

from adapters.blocking import Bridge, DeadlineAdapter
from adapters.chat.port import Deadline, Unavailable, Uncertain


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge("forge", threads_max=2)
    yield bridge
    bridge.close()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    session = requests.Session()
    session.mount("http://", DeadlineAdapter())
    yield session
    session.close()


@pytest.fixture
def deaf() -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads what comes and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    read: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                read.append(connection.recv(65536))
                connection.recv(65536)

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", read
    server.shutdown(socket.SHUT_RDWR)
    server.close()


async def test_result_comes_back(bridge):
    assert await bridge.call(lambda: 7, Deadline.after(5)) == 7


async def test_own_errors_come_back(bridge):
    with pytest.raises(KeyError):
        await bridge.call(lambda: {}["x"], Deadline.after(5))


async def test_no_answer_in_time_is_uncertain_and_frees_the_thread(bridge, session, deaf):
    url, read = deaf
    with pytest.raises(Uncertain):
        await bridge.call(lambda: session.post(url), Deadline.after(0.3))
    assert read
    assert await bridge.call(lambda: 7, Deadline.after(5)) == 7


async def test_nothing_is_sent_after_the_deadline(bridge, session, deaf):
    url, read = deaf

    def late() -> object:
        time.sleep(0.4)
        return session.post(url)

    with pytest.raises(Uncertain):
        await bridge.call(late, Deadline.after(0.2))
    await asyncio.sleep(0.5)
    assert read == []


async def test_a_passed_deadline_begins_nothing(bridge):
    began = []
    with pytest.raises(Unavailable):
        await bridge.call(lambda: began.append(1), Deadline.after(0))
    assert began == []


async def test_nobody_there_is_unavailable(bridge, session):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable):
        await bridge.call(lambda: session.get(f"http://127.0.0.1:{port}"), Deadline.after(5))


async def test_a_broken_connection_is_uncertain(bridge, session):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(10)
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        port = server.getsockname()[1]
        with pytest.raises(Uncertain):
            await bridge.call(lambda: session.post(f"http://127.0.0.1:{port}"), Deadline.after(5))


async def test_calls_beyond_the_threads_wait_and_are_not_sent_late(bridge):
    began: list[int] = []

    def slow() -> None:
        began.append(1)
        time.sleep(0.3)

    calls = [bridge.call(slow, Deadline.after(0.2)) for _ in range(4)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, Uncertain) for one in results)
    await asyncio.sleep(0.4)
    assert len(began) == 2
