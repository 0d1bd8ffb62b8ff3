"""Landlock: what a thread, and whatever it starts, may open from now on. Linux 5.13 and later.

Asked of the kernel by its system calls, as libc has no names for them: see landlock(7) and
linux/landlock.h. What a kernel is too old for stays allowed, so that a newer one only adds.
"""

import ctypes
import functools
import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path

from vmpool.libc import libc, must

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
"""Flag of landlock_create_ruleset that asks for the kernel's version of the interface."""
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG, _MAKE_SOCK = 1 << 5, 1 << 8, 1 << 9
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
"""The only rights that a rule for a file, not a directory, may give."""
_SINCE = {1: (1 << 13) - 1, 2: _REFER, 3: _TRUNCATE}
"""Rights over files by the version that brought them."""
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6
_TCP = 0b11
"""To bind and to connect."""
_SCOPES = 0b11
"""Abstract unix sockets and signals stay among those that were restricted together."""

RUN = _EXECUTE | _READ_FILE | _READ_DIR
READ = _READ_FILE | _READ_DIR
WRITE = READ | _WRITE_FILE | _TRUNCATE
"""What is there; nothing can be made."""
MAKE_FILES = WRITE | _MAKE_REG
MAKE_SOCKETS = READ | _MAKE_SOCK | _REMOVE_FILE


@functools.cache
def version() -> int:
    """The kernel's version of the interface; 0: it has none, or it is switched off."""
    return max(0, int(libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)))


def forbid_new_privileges() -> None:
    """Let nothing that this thread starts gain rights by starting another program."""
    must(libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def restrict(rights: Mapping[Path, int]) -> None:
    """Restrict this thread for good to these rights, at and below their paths; TCP is refused.

    It must have forbidden itself new privileges. A path that isn't there gives nothing.

    :raises OSError: the kernel refuses
    """
    handled = _handled(version())
    ruleset = _ruleset(handled)
    try:
        for path, given in rights.items():
            _allow(ruleset, path, given & handled)
        must(libc().syscall(_RESTRICT_SELF, ruleset, 0), "Landlock")
    finally:
        os.close(ruleset)


def _handled(known: int) -> int:
    return functools.reduce(int.__or__, (bits for since, bits in _SINCE.items() if since <= known))


def _ruleset(handled: int) -> int:
    words = [handled]
    if version() >= _NETWORK_SINCE:
        words.append(_TCP)
    if version() >= _SCOPES_SINCE:
        words.append(_SCOPES)
    attributes = struct.pack(f"={len(words)}Q", *words)
    size = ctypes.c_size_t(len(attributes))
    return must(libc().syscall(_CREATE_RULESET, attributes, size, 0), "Landlock")


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, fd)
        must(libc().syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), path)
    finally:
        os.close(fd)
