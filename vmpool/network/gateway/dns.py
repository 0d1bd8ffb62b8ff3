"""As much of DNS as a resolver needs that knows addresses and nothing else. Pure; RFC 1035.

One question a message, answers with one A record at most.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

HEADER = struct.Struct("!6H")
RESPONSE, OPCODE, RECURSE, RECURSES = 0x8000, 0x7800, 0x0100, 0x0080
A, INTERNET = 1, 1
LABEL_BYTES_MAX = 63
NAME_BYTES_MAX = 255
MESSAGE_BYTES_MAX = 4096
QUESTION_AT = 0xC000 | HEADER.size
"""A pointer to the name of the question."""


class Code(IntEnum):
    """What became of a question."""

    DONE = 0
    MALFORMED = 1
    FAILED = 2
    NO_SUCH_NAME = 3
    NOT_DONE_HERE = 4
    REFUSED = 5


class NoQuestion(ValueError):
    """A message that gets no answer at all."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, and how to answer it."""

    id: int
    flags: int
    name: str
    """Without the final dot; empty where it can't be read."""
    kind: int
    asked: bytes
    """The question as it came, to be sent back."""
    code: Code = Code.DONE
    """Other than done: it is answered with this."""


def read_question(message: bytes) -> Question:
    """Read what is asked. :raises NoQuestion: it is no question, or too short to answer"""
    if len(message) < HEADER.size:
        raise NoQuestion("too short")
    id_, flags, questions, *_ = HEADER.unpack_from(message)
    if flags & RESPONSE:
        raise NoQuestion("an answer")
    if flags & OPCODE:
        return Question(id_, flags, "", 0, b"", Code.NOT_DONE_HERE)
    if questions != 1 or len(message) > MESSAGE_BYTES_MAX:
        return Question(id_, flags, "", 0, b"", Code.MALFORMED)
    try:
        name, end = _name(message, HEADER.size)
        kind, of = struct.unpack_from("!2H", message, end)
    except (ValueError, IndexError, struct.error):
        return Question(id_, flags, "", 0, b"", Code.MALFORMED)
    asked = message[HEADER.size : end + 4]
    return Question(id_, flags, name, kind, asked, Code.DONE if of == INTERNET else Code.REFUSED)


def _name(message: bytes, at: int) -> tuple[str, int]:
    """:raises ValueError: it is too long, compressed, or not of ASCII"""
    labels = []
    start = at
    while size := message[at]:
        if size > LABEL_BYTES_MAX or at - start > NAME_BYTES_MAX:
            raise ValueError("not a plain name")
        label = message[at + 1 : at + 1 + size].decode("ascii")
        if len(label) != size or "." in label:
            raise ValueError("not a plain label")
        labels.append(label)
        at += 1 + size
    return ".".join(labels), at + 1


def write_answer(
    question: Question, code: Code, address: IPv4Address | None = None, *, seconds: int = 0
) -> bytes:
    """An answer. :param seconds: how long the address may be remembered"""
    flags = RESPONSE | RECURSES | question.flags & (OPCODE | RECURSE) | code
    has_question, has_answer = int(bool(question.asked)), int(address is not None)
    message = HEADER.pack(question.id, flags, has_question, has_answer, 0, 0) + question.asked
    if address is None:
        return message
    record = struct.pack("!HHHIH", QUESTION_AT, A, INTERNET, seconds, 4)
    return message + record + address.packed
