"""The server name in a ClientHello, whichever way it is cut."""

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.steps import lines_run
from vmpool.network.gateway import tls
from vmpool.network.gateway.tls import HELLO_BYTES_MAX, HelloReader, NotTls


def read_hello(data):
    return HelloReader().read(data)


def hello(name: str | None) -> bytes:
    """What OpenSSL says first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same message, in records of so many bytes."""
    message = data[5:]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)


SAID = hello("www.example.com")


@pytest.mark.parametrize("name", ["example.com", "a.b.c.example.com", "x" * 60 + ".test", None])
def test_the_name_is_read(name: str | None) -> None:
    found = read_hello(hello(name))
    assert found is not None
    assert found.name == name


@given(st.integers(0, len(SAID) - 1))
def test_less_than_all_of_it_is_waited_for(count: int) -> None:
    assert read_hello(SAID[:count]) is None


@given(st.integers(1, 600))
def test_it_may_come_in_many_records(size: int) -> None:
    found = read_hello(in_records(SAID, size))
    assert found is not None
    assert found.name == "www.example.com"


def test_records_of_a_byte_sent_one_by_one_cost_no_more_than_each_its_share() -> None:
    records = 1000
    sent = in_records(bytes(5) + b"\x01\x00\xff\xf0" + bytes(records - 4), 1)

    def drip() -> None:
        reader = HelloReader()
        for end in range(6, len(sent) + 1, 6):
            assert reader.read(sent[:end]) is None

    assert lines_run(tls, drip) < 40 * records


@given(st.integers(1, 50), st.integers(1, 50))
def test_it_is_read_as_it_comes(size: int, step: int) -> None:
    reader, sent = HelloReader(), in_records(SAID, size)
    found = [reader.read(sent[:end]) for end in range(0, len(sent) + step, step)]
    assert set(found[:-1]) == {None}
    assert found[-1] == read_hello(sent)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02\x00",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
        b"\x16\x03\x01\x00\x04\x01" + (HELLO_BYTES_MAX + 1).to_bytes(3),
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
    ],
)
def test_what_is_none_is_said_so(data: bytes) -> None:
    with pytest.raises(NotTls):
        read_hello(data)


def test_two_names_are_one_too_many() -> None:
    entry = b"\x00\x00\x06a.test"
    names = (2 * len(entry)).to_bytes(2) + 2 * entry
    extension = b"\x00\x00" + len(names).to_bytes(2) + names
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += len(extension).to_bytes(2) + extension
    message = b"\x01" + len(body).to_bytes(3) + body
    with pytest.raises(NotTls, match="several"):
        read_hello(b"\x16\x03\x01" + len(message).to_bytes(2) + message)


@given(st.binary(max_size=300))
def test_nothing_breaks_it(data: bytes) -> None:
    for each in (data, b"\x16\x03\x01" + data, SAID[:9] + data):
        with contextlib.suppress(NotTls):
            read_hello(each)
