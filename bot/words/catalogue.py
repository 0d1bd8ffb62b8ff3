"""Our sentences in the language of whoever reads them: GNU gettext catalogues; pure but for a read.

    source: _("Queued as number {place}.", place=3)     the English sentence is the message's id
    catalogue: bot/locale/<locale>/LC_MESSAGES/ona.po   everything else
    `speaking`: in which language and zone it is said from here on, in this task and its children

What is said comes out as a `Message`: text, that also knows its id and its values. `kept` makes
facts of it that an event can store, and `again` says them in another language.
"""

import gettext as stdlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, reduce
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale, UnknownLocaleError
from babel.numbers import format_decimal

DOMAIN = "ona"
SOURCE = "en"
"""The language of the code; it needs no catalogue."""
DIRECTORY = Path(__file__).parent.parent / "locale"
UTC_ZONE = "UTC"

SAID = "said"
"""In the body of an event: the kept messages of its other keys, or lists of them, by those."""

MOMENT = "<moment>"
"""Id of the message that is a moment in a zone of its own; no catalogue has it."""

Value = object
"""What stands in a message: text, a number, a moment, another message. A float is shown with one
decimal, a moment in the reader's zone to the minute."""


@dataclass(frozen=True, kw_only=True)
class Speech:
    """How somebody is spoken to."""

    locale: str = SOURCE
    zone: str = UTC_ZONE
    absolute: bool = False
    """Moments are written in UTC, whatever their zone: the surface shows each reader their own."""


_SPEECH: ContextVar[Speech] = ContextVar("speech", default=Speech())  # noqa: B039 - it is frozen


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a message is made of."""

    id: str
    many: str = ""
    """Its id in the plural; empty: it has none."""
    count: int = 1
    values: Mapping[str, Value] = field(default_factory=dict)


class Message(str):
    """A text of ours that can be said again in another language."""

    form: Form

    def __new__(cls, said: str, form: Form | None = None) -> "Message":
        """`said` in the language of now, of which `form` tells how it is made."""
        made = super().__new__(cls, said)
        made.form = form or Form(id=said)
        return made


def gettext(message: str, /, **values: Value) -> Message:
    """`message` in the language of now, with `values` in its braces; without any it has none."""
    if isinstance(message, Message):
        return _said(message.form)
    return _said(Form(id=message, values=values))


def ngettext(one: str, many: str, count: int, /, **values: Value) -> Message:
    """The same with the plural that `count` asks for, which stands where `{count}` does."""
    return _said(Form(id=one, many=many, count=count, values={"count": count, **values}))


def together(*parts: str, by: str = " ") -> Message:
    """Several messages, or words of others, one after the other."""
    places = by.join(f"{{part{number}}}" for number in range(len(parts)))
    return _said(Form(id=places, values={f"part{n}": part for n, part in enumerate(parts)}))


def listing(items: Sequence[Value]) -> Value:
    """`a`, `a and b`, `a and b and c`."""
    return reduce(lambda some, more: gettext("{some} and {more}", some=some, more=more), items)


def alternatives(items: Sequence[Value]) -> Value:
    """`a`, `a or b`, `a or b or c`."""
    return reduce(lambda some, more: gettext("{some} or {more}", some=some, more=more), items)


def of_error(error: Exception) -> str:
    """What an error says, as the message that it was raised with if it was one."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Message) else str(error)


def N_(message: str) -> str:
    """Mark a message for the catalogue that is only said later, by `gettext` of what holds it."""
    return message


@contextmanager
def speaking(
    locale: str, zone: str | None = None, *, absolute: bool | None = None
) -> Iterator[None]:
    """Speak this language, one of `shipped`; moments are shown in `zone`, UTC without one.

    :param absolute: as in `Speech`; None: as it is now
    """
    absolute = spoken().absolute if absolute is None else absolute
    token = _SPEECH.set(Speech(locale=locale, zone=zone or UTC_ZONE, absolute=absolute))
    try:
        yield
    finally:
        _SPEECH.reset(token)


def spoken() -> Speech:
    """How is spoken now."""
    return _SPEECH.get()


@cache
def shipped() -> tuple[str, ...]:
    """The locales that we speak, the source's first."""
    found = sorted(path.parent.parent.name for path in DIRECTORY.glob(f"*/*/{DOMAIN}.po"))
    return (SOURCE, *found)


def nearest(*wanted: str | None) -> str:
    """The shipped locale for the first wish that has one (`de-AT` → `de`), else the source's."""
    for wish in wanted:
        if wish and (found := _shipped_for(wish.replace("_", "-"))):
            return found
    return SOURCE


def language_name(locale: str) -> str:
    """What a language calls itself."""
    try:
        return str(Locale.parse(locale).get_display_name(locale) or locale)
    except (ValueError, UnknownLocaleError):
        return locale


@cache
def zones() -> frozenset[str]:
    """IANA names of the time zones that this host knows."""
    return frozenset(available_timezones())


def grouped(number: int) -> str:
    """`12,345`, as the language of now groups digits."""
    return format_decimal(number, locale=spoken().locale)


def kept(message: Message) -> dict[str, Any]:
    """What of a message an event stores beside its text."""
    form = message.form
    values = {name: _kept_value(value) for name, value in form.values.items()}
    made: dict[str, Any] = {"id": form.id, "values": values}
    return {**made, "many": form.many, "count": form.count} if form.many else made


def again(stored: Mapping[str, Any]) -> Message:
    """A kept message in the language of now."""
    values = {name: _restored(value) for name, value in dict(stored["values"]).items()}
    many, count = str(stored.get("many") or ""), int(stored.get("count") or 1)
    return _said(Form(id=str(stored["id"]), many=many, count=count, values=values))


def in_source(message: Message) -> str:
    """A message in the source's language, with moments in UTC."""
    with speaking(SOURCE, absolute=True):
        return str(_said(message.form))


def localized(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body of an event with our sentences in the language of now."""
    said = body.get(SAID)
    return {**body, **{name: _once_more(one) for name, one in said.items()}} if said else body


def _once_more(stored: Any) -> Message | list[Message]:
    return [again(one) for one in stored] if isinstance(stored, list) else again(stored)


def moment(at: datetime) -> Message:
    """`2026-01-31 12:30 UTC`, in the zone of now, also when it is said again."""
    return _said(Form(id=MOMENT, values={"at": at, "zone": spoken().zone}))


def _moment(at: datetime, zone: str) -> str:
    is_utc = zone == UTC_ZONE or spoken().absolute
    return f"{at.astimezone(UTC if is_utc else ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"


def catalogue(locale: str) -> stdlib.NullTranslations:
    """What the messages are in a shipped locale."""
    return stdlib.NullTranslations() if locale == SOURCE else _read(locale)


@cache
def _read(locale: str) -> stdlib.GNUTranslations:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with (DIRECTORY / locale / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=locale, domain=DOMAIN))
    compiled.seek(0)
    return stdlib.GNUTranslations(compiled)


def _shipped_for(wish: str) -> str | None:
    """The locale of the longest beginning of a tag that has one, as RFC 4647 looks it up."""
    known = {one.lower().replace("_", "-"): one for one in shipped()}
    parts = wish.lower().split("-")
    beginnings = ("-".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((known[one] for one in beginnings if one in known), None)


def _said(form: Form) -> Message:
    if form.id == MOMENT:
        return Message(_moment(**form.values), form)  # type: ignore[arg-type]
    words = catalogue(spoken().locale)
    template = form.id
    if form.many:
        template = words.ngettext(form.id, form.many, form.count)
    elif form.id:
        template = words.gettext(form.id)
    if form.values:
        template = template.format(**{name: _shown(one) for name, one in form.values.items()})
    return Message(template, form)


def _shown(value: Value) -> str:
    """As it stands in a sentence; what was said in another language is said again in this one."""
    if isinstance(value, Message):
        return _said(value.form)
    if isinstance(value, float):
        return format_decimal(value, "0.0", locale=spoken().locale)
    return _moment(value, spoken().zone) if isinstance(value, datetime) else str(value)


def _kept_value(value: Value) -> Any:
    if isinstance(value, Message):
        return kept(value)
    if isinstance(value, datetime):
        return {"at": value.isoformat()}
    return value if isinstance(value, int | float) else str(value)


def _restored(value: Any) -> Value:
    if isinstance(value, Mapping):
        return datetime.fromisoformat(value["at"]) if "at" in value else again(value)
    return value
