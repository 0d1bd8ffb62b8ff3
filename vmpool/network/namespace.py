"""Doing something in another network namespace; what was opened there stays there."""

import ctypes
import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

CLONE_NEWNET = 0x40000000
"""From linux/sched.h."""

T = TypeVar("T")


def inside(namespace: Path, act: Callable[[], T]) -> T:
    """Call `act` in a network namespace, in a thread of its own: a thread enters alone. Blocking.

    :raises OSError: there is no such namespace, or it may not be entered
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            _enter(namespace)
            done.append(act())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name=f"inside {namespace.name}")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _enter(namespace: Path) -> None:
    fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc().setns(fd, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(namespace))
    finally:
        os.close(fd)


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
