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
RECORD_HEADER_BYTES = 5
ACCESS_DENIED = bytes((0x15, 3, 3, 0, 2, 2, 49))
"""The alert that a refused client shows as such: fatal, access_denied."""


class NotTls(ValueError):
    """This is not the beginning of a TLS connection."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client says first."""

    name: str | None
    """As it was sent; None: it asks for no name."""


class HelloReader:
    """Reads a ClientHello as it comes; each record once, however it is cut.

    Whoever sends records of one byte, one at a time, would keep all others waiting otherwise.
    """

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._at = 0
        self._message = bytearray()

    def read(self, data: bytes) -> Hello | None:
        """Read on; None: there is more to come.

        :param data: all that has come, from the beginning
        :raises NotTls:
        """
        while self._at < len(data):
            header = data[self._at : self._at + RECORD_HEADER_BYTES]
            if header[0] != HANDSHAKE or (len(header) > 1 and header[1] != 3):
                raise NotTls("this is not a TLS handshake")
            if len(header) < RECORD_HEADER_BYTES:
                return None
            size = int.from_bytes(header[3:])
            if not 0 < size <= RECORD_BYTES_MAX:
                raise NotTls("a TLS record has an impossible size")
            begins = self._at + RECORD_HEADER_BYTES
            record = data[begins : begins + size]
            length = _length(bytes(self._message[:4]) + record[:4])
            if length is not None and len(self._message) + len(record) >= length:
                return _hello(_Reader(bytes(self._message + record)[4:length]))
            if len(record) < size:
                return None
            self._message += record
            self._at = begins + size
        return None


def _length(begins: bytes) -> int | None:
    """Of a message by its first bytes, these four included; None: there are fewer."""
    if begins and begins[0] != CLIENT_HELLO:
        raise NotTls("this is not a ClientHello")
    if len(begins) < 4:
        return None
    length = int.from_bytes(begins[1:4])
    if length > HELLO_BYTES_MAX:
        raise NotTls("the ClientHello is too long")
    return 4 + length


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
