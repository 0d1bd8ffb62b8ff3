"""What people are told of one of several repositories: pure."""

from bot.errors import OnaError
from bot.words.catalogue import Message, of_error, together
from bot.words.catalogue import gettext as _


def of(name: str, said: str) -> Message:
    """Something that is said of one repository beside the project's own."""
    return _("{name}: {said}", name=name, said=said)


def failed(name: str, error: OnaError) -> OnaError:
    """The same error, with the repository that it is about."""
    return type(error)(of(name, of_error(error)), kept=error.kept, do=error.do)


def not_there(name: str, error: OnaError) -> OnaError:
    """The same of one that can't be put into a machine, with a way on without it."""
    without = _("or take it from the project: `ona projects remove-repository`")
    do = together(error.do, without, by=", ") if error.do else without
    return type(error)(of(name, of_error(error)), kept=error.kept, do=do)
