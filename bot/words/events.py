"""What the names in events mean, wherever they are read; pure."""

from collections.abc import Mapping

from bot.words.amounts import duration

STEPS: Mapping[str, str] = {
    "creating": "Making a machine",
    "booting": "Starting the machine",
    "resuming": "Waking the machine",
    "cloning": "Copying the repository",
    "restoring": "Restoring the last checkpoint",
    "waiting": "Waiting for a machine",
    "ready": "The machine is ready",
}
MACHINE_STATES: Mapping[str, str] = {
    "creating": "The machine is being created",
    "starting": "The machine is starting",
    "running": "The machine runs",
    "hibernating": "The machine is being put to rest",
    "resting": "The machine hibernates with its memory",
    "lost": "The machine was lost",
    "removing": "The machine is being removed",
    "gone": "The machine is removed",
}
OUTCOMES: Mapping[str, str] = {
    "succeeded": "Done",
    "failed": "Failed",
    "stopped": "Stopped",
    "timed_out": "Timed out",
    "interrupted": "Interrupted",
}
NOBODY_ANSWERED = "Nobody answered in time; the turn goes on without an answer."


def step(
    name: str,
    *,
    place: object = None,
    why: str = "",
    took: str = "",
    usual_seconds: object = None,
) -> str:
    """One line on what is done for a turn before it begins.

    :param place: in the line of those who wait for a machine, and `why` they do
    :param took: said of the machine that is ready
    :param usual_seconds: until it was ready, earlier
    """
    said = STEPS.get(name, name.capitalize())
    if name == "waiting" and place:
        return f"{said}, place {place} in the line: {why or 'none is free'}."
    if name == "ready":
        return f"{said}{took}."
    if isinstance(usual_seconds, int | float):
        return f"{said}, usually ready after {duration(usual_seconds)} …"
    return f"{said} …"
