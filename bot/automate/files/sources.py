"""A definition that somebody writes here, as text; pure."""

from bot.automate.definition import Definition
from bot.automate.files.file_words import told
from bot.automate.files.parsing import defined
from bot.automate.files.yaml_tree import Fault, NotYaml, parse
from bot.errors import Refused
from bot.words.catalogue import gettext as _
from bot.words.catalogue import together

NAME = "automation.yaml"
"""What it is called where a mistake in it is said."""
FAULTS_SAID_MAX = 10


def definition_of(source: str) -> Definition:
    """What YAML (or JSON) says; it needs no `schema:`. :raises Refused: with every mistake"""
    try:
        found = defined(parse(source.encode("utf-8", "surrogatepass")))
    except NotYaml as error:
        raise _refused((error.fault,)) from None
    if isinstance(found, Definition):
        return found
    raise _refused(found)


def _refused(faults: tuple[Fault, ...]) -> Refused:
    said = [told(NAME, one) for one in faults[:FAULTS_SAID_MAX]]
    return Refused(
        together(*said, by="\n"),
        kept=_("nothing was saved"),
        do=_("docs/automations.md says what can stand there"),
    )
