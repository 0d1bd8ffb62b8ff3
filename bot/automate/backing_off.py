"""When what could not be done is tried again: later each time; pure."""

BACK_OFF_SECONDS = 5.0
BACK_OFF_SECONDS_MAX = 300.0


def back_off(attempts: int) -> float:
    """Seconds until something is tried again that has failed so many times."""
    return float(min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** max(0, attempts - 1)))
