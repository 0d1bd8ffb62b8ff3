"""How much work a function does, counted in lines that run: the same on every machine."""

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any


def lines_run(module: ModuleType, act: Callable[[], object]) -> int:
    """How many lines of a module run while `act` does."""
    count = 0

    def count_lines(_frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return count_lines

    def trace(frame: FrameType, _event: str, _arg: Any) -> Any:
        return count_lines if frame.f_code.co_filename == module.__file__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count
