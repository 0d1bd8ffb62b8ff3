"""What to do with a reply that is due, and when to come back to it after a failure; pure."""

import enum
import math
from dataclasses import dataclass

from adapters.chat.port import AfterUncertain, Method
from bot.words.catalogue import N_

ATTEMPTS_MAX = 20
"""With the back-off below: given up after about an hour."""
BACKOFF_SECONDS_MIN = 1.0
BACKOFF_SECONDS_MAX = 300.0
KNOWN_ATTEMPTS_MIN = 12
"""So many pauses fit into the time for which a surface knows a post by its mark."""


class Action(enum.Enum):
    """What comes next for a reply."""

    POST = "post"
    EDIT = "edit"
    LOOK_UP = "look up"
    """It may have been posted by an attempt whose end nobody saw."""
    KEEP_QUIET = "keep quiet"
    """The thread is muted."""
    SKIP = "skip"
    """A live message of a turn that is over, never posted: the answer says it all."""
    GIVE_UP = "give up"
    """It may have been posted, and the surface can't tell or never answers: at most once."""
    STOP_TRYING = "stop trying"
    """Every attempt failed."""


ELSEWHERE = "; the reply is on the session's page"
MUTED = N_("the thread is muted")
GIVEN_UP = N_("given up after too many attempts")
UNCERTAIN = N_(
    "it may or may not have been posted: the connection broke and this surface"
    " can't be asked about it"
)
REASONS = {
    Action.KEEP_QUIET: MUTED + ELSEWHERE,
    Action.SKIP: N_("its turn ended before it was posted; the answer stands for it"),
    Action.GIVE_UP: UNCERTAIN + ELSEWHERE,
    Action.STOP_TRYING: GIVEN_UP + ELSEWHERE,
}
"""Why a reply is not posted, as its row keeps it."""
MEANT = frozenset({Action.KEEP_QUIET, Action.SKIP})
"""Nothing went wrong: nobody needs to be told."""
METHODS: dict[Action, Method] = {
    Action.POST: "post",
    Action.EDIT: "edit",
    Action.LOOK_UP: "find",
}
"""What an action takes a token for."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a reply stands when its turn to be sent comes."""

    live: bool
    final: bool
    posted: bool
    """Its ref is known."""
    unfinished: bool
    """An earlier attempt's end was not seen."""
    attempts: int
    """Before this one, since its last success."""
    muted: bool
    tried_seconds: float = 0.0
    """Since the first attempt whose end was not seen."""


def next_action(
    progress: Progress, after_uncertain: AfterUncertain, *, again_seconds: float = math.inf
) -> Action:
    """What comes next; a post that may exist already is looked for before anything else.

    :param again_seconds: for how long a surface knows a post by its mark
    """
    if progress.unfinished and not progress.posted:
        late = progress.tried_seconds > again_seconds
        if after_uncertain is AfterUncertain.POST_AGAIN and late:
            return Action.GIVE_UP
        if after_uncertain is AfterUncertain.GIVE_UP or progress.attempts >= 2 * ATTEMPTS_MAX:
            return Action.GIVE_UP
        if after_uncertain is AfterUncertain.LOOK_UP:
            return Action.LOOK_UP
    if progress.attempts >= ATTEMPTS_MAX:
        return Action.STOP_TRYING
    return Action.EDIT if progress.posted else _first_post(progress)


def _first_post(progress: Progress) -> Action:
    if progress.muted:
        return Action.KEEP_QUIET
    return Action.SKIP if progress.live and progress.final else Action.POST


def backoff_seconds(attempts: int, *, chance: float, known_seconds: float = math.inf) -> float:
    """The pause after `attempts` failures in a row: doubling, bounded, spread over its half.

    :param chance: a random number from 0 to 1, so that many replies don't come back at once
    :param known_seconds: for how long a surface knows what may have been posted by its mark
    """
    most = min(BACKOFF_SECONDS_MAX, known_seconds / KNOWN_ATTEMPTS_MIN)
    full = min(most, BACKOFF_SECONDS_MIN * 2.0 ** min(attempts - 1, 30))
    return full * (0.5 + chance / 2)
