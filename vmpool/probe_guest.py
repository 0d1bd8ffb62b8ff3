"""Two guests small enough to be written down as bytes, for finding out what an accelerator can do.

Both print `MARKER`: the firmware on port 0xe9 before anything else exists, the init program on the
console once a whole kernel has come up.
"""

import struct

from vmpool.image_recipe import cpio

MARKER = b"ona-probe-up"

_ROM_BYTES = 64 * 1024
_LOAD_ADDRESS = 0x400000
_ELF_HEADER_BYTES = 64 + 56


def firmware() -> bytes:
    """A 64 KiB firmware image: 16-bit code that prints the marker on port 0xe9 and halts."""
    code = b"\xfa"  # cli
    for byte in MARKER:
        code += bytes([0xB0, byte, 0xE6, 0xE9])  # mov al, byte; out 0xe9, al
    code += b"\xf4\xeb\xfd"  # hlt; jmp to the hlt
    reset = b"\xea\x00\x00\x00\xf0"  # the CPU starts 16 bytes below the end: jmp f000:0000
    return code.ljust(_ROM_BYTES - 16, b"\xf4") + reset.ljust(16, b"\xf4")


def initrd() -> bytes:
    """An initramfs of one static program that writes the marker to its console and exits."""
    return b"".join(
        [
            cpio.entry("dev", 0o40755),
            cpio.entry("dev/console", 0o20600, device=(5, 1)),
            cpio.entry("init", 0o100755, _program()),
            cpio.end(),
        ]
    )


def _program() -> bytes:
    """An x86-64 executable: write(1, marker), exit(0)."""
    text = MARKER + b"\n"
    length = len(_code(0, len(text)))
    code = _code(_LOAD_ADDRESS + _ELF_HEADER_BYTES + length, len(text)) + text
    size = _ELF_HEADER_BYTES + len(code)
    entry = _LOAD_ADDRESS + _ELF_HEADER_BYTES
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, 4096)
    return identity + header + segment + code


def _code(text_address: int, text_bytes: int) -> bytes:
    return b"".join(
        [
            b"\xb8\x01\x00\x00\x00",  # mov eax, 1 (write)
            b"\xbf\x01\x00\x00\x00",  # mov edi, 1
            b"\x48\xbe" + struct.pack("<Q", text_address),  # mov rsi, text
            b"\xba" + struct.pack("<I", text_bytes),  # mov edx, length
            b"\x0f\x05",  # syscall
            b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05",  # exit(0)
        ]
    )
