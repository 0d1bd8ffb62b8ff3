"""A guest's network device without a guest: frames are written to a slot's tap and read from it."""

import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmpool.network import slot
from vmpool.network.namespace import inside, open_tap

VNET_HEADER = bytes(10)
ANSWER_SECONDS_MAX = 3.0
"""Silence is told by nothing within it; an answer comes at once, on a quiet machine."""
TCP, UDP, ICMP = 6, 17, 1
SYN, RST, ACK = 0x02, 0x04, 0x10
GUEST = bytes.fromhex(slot.GUEST_MAC.replace(":", ""))
HOST = bytes.fromhex(slot.TAP_MAC.replace(":", ""))


@dataclass
class Wire:
    """The guest's end of a slot's tap."""

    fd: int
    asked: int = 0

    def _port(self) -> int:
        """Another one for each question."""
        self.asked += 1
        return 40000 + self.asked

    def connects(self, address: str, port: int, *, source: str = slot.GUEST_ADDRESS) -> str:
        """What comes of a TCP connection: accepted, reset, or silence."""
        segment = struct.pack("!HHIIBBHHH", self._port(), port, 1, 0, 5 << 4, SYN, 65535, 0, 0)
        for packet in self._ask(address, TCP, segment, source=source):
            flags = packet[20 + 13]
            return "reset" if flags & RST else "accepted" if flags & SYN else "odd"
        return "silence"

    def asks(self, address: str, port: int, *, source: str = slot.GUEST_ADDRESS) -> str:
        """What comes of a UDP packet."""
        datagram = struct.pack("!HHHH", self._port(), port, 8 + 4, 0) + b"ping"
        return "answer" if list(self._ask(address, UDP, datagram, source=source)) else "silence"

    def pings(self, address: str) -> str:
        """What comes of an ICMP echo request."""
        echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
        echo = struct.pack("!BBHHH", 8, 0, _checksum(echo), 1, 1)
        found = list(self._ask(address, ICMP, echo, source=slot.GUEST_ADDRESS))
        return "answer" if found else "silence"

    def hears(self, seconds: float) -> set[str]:
        """Kinds of what arrives of itself within this time."""
        kinds, until = set(), time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for frame in self._frames(left):
                if frame[12:14] == b"\x08\x00":
                    kinds.add({TCP: "tcp", UDP: "udp", ICMP: "icmp"}.get(frame[14 + 9], "other"))
        return kinds

    def _ask(self, address: str, protocol: int, body: bytes, *, source: str) -> Iterator[bytes]:
        self._drain()
        addresses = socket.inet_aton(source) + socket.inet_aton(address)
        if protocol in {TCP, UDP}:
            pseudo = addresses + struct.pack("!BBH", 0, protocol, len(body))
            place = 16 if protocol == TCP else 6
            total = _checksum(pseudo + body)
            body = body[:place] + struct.pack("!H", total) + body[place + 2 :]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0) + addresses
        head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
        os.write(self.fd, VNET_HEADER + HOST + GUEST + b"\x08\x00" + head + body)
        until = time.monotonic() + ANSWER_SECONDS_MAX
        while (left := until - time.monotonic()) > 0:
            for frame in self._frames(left):
                packet = frame[14:]
                answers = packet[9] == protocol and packet[16:20] == socket.inet_aton(source)
                # An earlier question's answer may be told again.
                mine = protocol == ICMP or packet[22:24] == body[:2]
                if frame[12:14] == b"\x08\x00" and answers and mine:
                    yield packet
                    return

    def _frames(self, seconds: float) -> Iterator[bytes]:
        if select.select([self.fd], [], [], seconds)[0]:
            frame = os.read(self.fd, 65536)[len(VNET_HEADER) :]
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x01":
                self._answer_arp(frame)
            yield frame

    def _answer_arp(self, frame: bytes) -> None:
        asked, asker = frame[38:42], frame[28:32]
        if asked == socket.inet_aton(slot.GUEST_ADDRESS):
            answer = frame[14:20] + b"\x00\x02" + GUEST + asked + HOST + asker
            os.write(self.fd, VNET_HEADER + HOST + GUEST + b"\x08\x06" + answer)

    def _drain(self) -> None:
        while select.select([self.fd], [], [], 0)[0]:
            os.read(self.fd, 65536)


@contextmanager
def wire(namespace: Path) -> Iterator[Wire]:
    """Be the device of a slot's guest."""

    fd = inside(namespace, lambda: open_tap(slot.TAP))
    try:
        yield Wire(fd)
    finally:
        os.close(fd)


def _checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
