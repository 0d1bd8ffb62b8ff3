"""A program of 300 bytes for the tiny guest, whose busybox knows no vsock.

It listens on port 1024, accepts one connection, closes the listener, and becomes `sh /serve` with
the connection as input and output.
"""

import struct

PORT = 1024

_LOAD_ADDRESS = 0x400000
_HEADERS_BYTES = 64 + 56
_AF_VSOCK = 40
_ANY_CID = 0xFFFFFFFF
_SYSCALL = b"\x0f\x05"
_EAX, _EDI, _ESI, _EDX = b"\xb8", b"\xbf", b"\xbe", b"\xba"
_RDI, _RSI = b"\x48\xbf", b"\x48\xbe"
_CLEAR_ESI, _CLEAR_EDX = b"\x31\xf6", b"\x31\xd2"
_LISTENER_TO_EDI, _CONNECTION_TO_EDI = b"\x89\xdf", b"\x89\xef"
_KEEP_LISTENER, _KEEP_CONNECTION = b"\x89\xc3", b"\x89\xc5"


def accept_program() -> bytes:
    """Assemble an x86-64 executable."""
    at = _LOAD_ADDRESS + _HEADERS_BYTES + len(_code(0))
    body = _code(at) + _data(at)
    size = _HEADERS_BYTES + len(body)
    entry = _LOAD_ADDRESS + _HEADERS_BYTES
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, 4096)
    return identity + header + segment + body


def _code(data: int) -> bytes:
    address, path, arguments = data, data + 16, data + 48
    return b"".join(
        [
            # socket(AF_VSOCK, SOCK_STREAM, 0), bind, listen(1), accept
            _EAX, _word(41), _EDI, _word(_AF_VSOCK), _ESI, _word(1), _CLEAR_EDX, _SYSCALL,
            _KEEP_LISTENER,
            _EAX, _word(49), _LISTENER_TO_EDI, _RSI, _long(address), _EDX, _word(16), _SYSCALL,
            _EAX, _word(50), _LISTENER_TO_EDI, _ESI, _word(1), _SYSCALL,
            _EAX, _word(43), _LISTENER_TO_EDI, _CLEAR_ESI, _CLEAR_EDX, _SYSCALL,
            _KEEP_CONNECTION,
            # close(listener), dup2(connection, 0), dup2(connection, 1), close(connection)
            _EAX, _word(3), _LISTENER_TO_EDI, _SYSCALL,
            _EAX, _word(33), _CONNECTION_TO_EDI, _CLEAR_ESI, _SYSCALL,
            _EAX, _word(33), _CONNECTION_TO_EDI, _ESI, _word(1), _SYSCALL,
            _EAX, _word(3), _CONNECTION_TO_EDI, _SYSCALL,
            # execve, or else exit(1)
            _EAX, _word(59), _RDI, _long(path), _RSI, _long(arguments), _CLEAR_EDX, _SYSCALL,
            _EAX, _word(60), _EDI, _word(1), _SYSCALL,
        ]
    )  # fmt: skip


def _data(data: int) -> bytes:
    address = struct.pack("<HHIIBBBB", _AF_VSOCK, 0, PORT, _ANY_CID, 0, 0, 0, 0)
    path = b"/bin/busybox\0".ljust(16, b"\0")
    words = b"sh\0\0\0\0\0\0/serve\0".ljust(16, b"\0")
    shell = data + 16 + 16
    return address + path + words + _long(shell) + _long(shell + 8) + _long(0)


def _word(number: int) -> bytes:
    return struct.pack("<I", number)


def _long(number: int) -> bytes:
    return struct.pack("<Q", number)
