"""What can go wrong, grouped by who acts.

    OnaError
    ├── Retry            ours: trying the same again later can help
    │   └── TryAgain         the database or a host is away; nothing was accepted
    ├── TellPerson       the person who asked can mend it
    │   ├── NotFound         no such session, project, prompt …
    │   ├── NothingToDo      what was asked for has no object: nothing runs, nothing is held
    │   ├── Refused          they may not, or the thing can't be accepted as it is
    │   │   ├── NotAllowed       only operators may, or they are deactivated
    │   │   └── NotPermitted     the forge says that they may not, or does not say
    │   │       └── NotSaid          it does not say just now
    │   ├── WhichProject     it could be several
    │   ├── NoProject        the repository has none, and they may make one
    │   ├── LimitReached     the session has had all that it may; another can be opened
    │   └── TooLarge         over a limit, which the text names
    ├── TellOperator     whoever runs the installation can mend it
    │   ├── WrongSettings    file, key, expected, got
    │   └── Unfit            the host lacks a program, a right or room
    └── Bug              an assumption of ours is wrong

Each says what happened, what was kept, and what to do.
"""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3


class OnaError(Exception):
    """Base of everything we raise on purpose."""

    exit_code = EXIT_FAILED
    code = "failed"
    """For programs: tells the kinds apart across processes and in stored answers."""

    def __init__(self, happened: str, *, kept: str = "", do: str = "") -> None:
        """Say what happened, what was kept and what to do, each as a clause."""
        super().__init__(happened)
        self.happened = happened
        self.kept = kept
        self.do = do

    def __str__(self) -> str:
        parts = (part for part in (self.happened, self.kept, self.do) if part)
        return "; ".join(parts)


class Retry(OnaError):
    """Trying the same again later can help."""

    exit_code = EXIT_UNREACHABLE
    code = "try_again"


class TryAgain(Retry):
    """Something that we need is away for the moment; nothing was accepted."""


class TellPerson(OnaError):
    """The person who asked can mend it."""

    exit_code = EXIT_USAGE
    code = "refused"


class NotFound(TellPerson):
    """There is no such thing."""

    code = "not_found"


class NothingToDo(TellPerson):
    """What was asked for has no object."""

    code = "nothing_to_do"


class Refused(TellPerson):
    """It may not be done, or not like this."""


class UnclearTime(Refused):
    """The words of a time could not be read, or could be several."""

    code = "unclear_time"


class NotAllowed(Refused):
    """Here, they may not: it is for operators, or they are deactivated."""


class NotPermitted(Refused):
    """By what their forge says, they may not."""

    code = "not_permitted"


class NotSaid(NotPermitted):
    """Their forge does not say just now whether they may."""


class WhichProject(TellPerson):
    """It could be about several projects."""

    code = "which_project"


class NoProject(TellPerson):
    """The repository that is meant has no project yet, and they may make one."""

    code = "no_project"


class LimitReached(TellPerson):
    """A limit of the session is used up, and nothing can be done in it any more."""

    code = "limit_reached"


class TooLarge(TellPerson):
    """Over a limit that the text names."""

    code = "too_large"


def for_person(code: str, happened: str, *, kept: str = "", do: str = "") -> TellPerson:
    """The error of that code as it was raised elsewhere; an unknown code is a refusal."""
    kinds: tuple[type[TellPerson], ...] = (
        NotFound,
        NothingToDo,
        NotPermitted,
        UnclearTime,
        WhichProject,
        NoProject,
        LimitReached,
        TooLarge,
    )
    kind = next((kind for kind in kinds if kind.code == code), Refused)
    return kind(happened, kept=kept, do=do)


class TellOperator(OnaError):
    """Whoever runs the installation can mend it."""

    exit_code = EXIT_UNREACHABLE
    code = "unfit"


class WrongSettings(TellOperator):
    """A setting is unknown or has a value that it can't have."""

    exit_code = EXIT_USAGE


class Unfit(TellOperator):
    """The host lacks a program, a right or room."""


class Bug(OnaError):
    """An assumption of ours is wrong; the text says which."""
