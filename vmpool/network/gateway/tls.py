"""The server name that a TLS client asks for, read from its first message. Pure.

Nothing is decrypted and nothing is answered: the ClientHello is read as it goes by. Laid out as in
RFC 8446, section 4.1.2; the name as in RFC 6066, section 3.
"""

from dataclasses import dataclass

HANDSHAKE = 0x16
CLIENT_HELLO = 1
SERVER_NAME, HOST_NAME = 0, 0
HELLO_BYTES_MAX = 64 << 10
RECORD_BYTES_MAX = 1 << 14
ACCESS_DENIED = bytes((0x15, 3, 3, 0, 2, 2, 49))
"""The alert that a refused client shows as such: fatal, access_denied."""


class NotTls(ValueError):
    """This is not the beginning of a TLS connection."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client says first."""

    name: str | None
    """As it was sent; None: it asks for no name."""


def read_hello(data: bytes) -> Hello | None:
    """Read a ClientHello, over several records if it is; None: there is more to come.

    :raises NotTls:
    """
    message, rest = bytearray(), data
    while rest:
        if rest[0] != HANDSHAKE or (len(rest) > 1 and rest[1] != 3):
            raise NotTls("this is not a TLS handshake")
        if len(rest) < 5:
            return None
        size = int.from_bytes(rest[3:5])
        if not 0 < size <= RECORD_BYTES_MAX:
            raise NotTls("a TLS record has an impossible size")
        message += rest[5 : 5 + size]
        if message and message[0] != CLIENT_HELLO:
            raise NotTls("this is not a ClientHello")
        if len(message) >= 4:
            length = int.from_bytes(message[1:4])
            if length > HELLO_BYTES_MAX:
                raise NotTls("the ClientHello is too long")
            if len(message) >= 4 + length:
                return _hello(_Reader(bytes(message[4 : 4 + length])))
        if len(rest) < 5 + size:
            return None
        rest = rest[5 + size :]
    return None


def _hello(reader: "_Reader") -> Hello:
    reader.take(2 + 32)  # version, random
    reader.vector(1)  # session
    reader.vector(2)  # cipher suites
    reader.vector(1)  # compression
    names: list[str] = []
    if reader.left():
        extensions = _Reader(reader.vector(2))
        while extensions.left():
            kind, body = extensions.number(2), extensions.vector(2)
            if kind == SERVER_NAME:
                names += _names(_Reader(_Reader(body).vector(2)))
    if len(names) > 1:
        raise NotTls("the ClientHello names several servers")
    return Hello(names[0] if names else None)


def _names(reader: "_Reader") -> list[str]:
    names = []
    while reader.left():
        kind, name = reader.number(1), reader.vector(2)
        if kind == HOST_NAME:
            names.append(name.decode("ascii", "replace"))
    return names


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if self.left() < count:
            raise NotTls("the ClientHello ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))
