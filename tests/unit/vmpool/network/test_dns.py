"""Questions and answers of DNS, byte by byte."""

import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.network.gateway.dns import Code, NoQuestion, read_question, write_answer


def asking(name: str, kind: int = 1, *, flags: int = 0x0100, of: int = 1) -> bytes:
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split(".") if each)
    return struct.pack("!6H", 7, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, of)


def test_a_question_is_read_and_answered() -> None:
    question = read_question(asking("Www.example.com"))
    assert (question.name, question.kind, question.code) == ("Www.example.com", 1, Code.DONE)
    answer = write_answer(question, Code.DONE, IPv4Address("198.18.0.1"), seconds=60)
    assert answer == (
        b"\x00\x07\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
        b"\x03Www\x07example\x03com\x00\x00\x01\x00\x01"
        b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x12\x00\x01"
    )


def test_a_name_that_is_not_there() -> None:
    answer = write_answer(read_question(asking("no.test", 28)), Code.NO_SUCH_NAME)
    assert answer[:12] == b"\x00\x07\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (asking("a.test", flags=0x2800), Code.NOT_DONE_HERE),  # an update
        (asking("a.test", of=3), Code.REFUSED),  # CHAOS
        (asking("a.test")[:-2], Code.MALFORMED),
        (asking("a.test")[:14], Code.MALFORMED),
        (struct.pack("!6H", 7, 0, 2, 0, 0, 0) + asking("a.test")[12:], Code.MALFORMED),
        (struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\xc0\x0c\x00\x01\x00\x01", Code.MALFORMED),
        (asking("a" * 63 + ("." + "b" * 63) * 4), Code.MALFORMED),
        (struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\x03a.b\x00\x00\x01\x00\x01", Code.MALFORMED),
        (asking("a.test") + bytes(5000), Code.MALFORMED),
    ],
)
def test_what_can_not_be_answered_is_said_so(message: bytes, code: Code) -> None:
    question = read_question(message)
    assert question.code is code
    assert write_answer(question, code)[3] & 0x0F == code


@pytest.mark.parametrize("message", [b"", bytes(11), asking("a.test", flags=0x8180)])
def test_what_is_no_question_gets_no_answer(message: bytes) -> None:
    with pytest.raises(NoQuestion):
        read_question(message)


@given(st.binary(max_size=600))
def test_nothing_breaks_it(data: bytes) -> None:
    try:
        question = read_question(data)
    except NoQuestion:
        return
    answer = write_answer(question, question.code)
    assert answer[:2] == data[:2]
    assert len(answer) <= len(data) + 12
