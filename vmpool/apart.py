"""A thread for what a thread can change of itself alone and for good."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def apart(act: Callable[[], T]) -> T:
    """Call `act` in a thread of its own, which ends with it. Blocking.

    Its namespaces, its rights and what it may open can be changed for `act` and for what it
    starts, and stay as they are for everybody else.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(act())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]
