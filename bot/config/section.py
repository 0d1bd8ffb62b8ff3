"""What settings are made of: the base of their groups, and kinds of values."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from vmpool.network.policy import BadRule, read_rule


def parts_of(value: Any) -> Any:
    """What stands between commas, of a text; anything else as it is."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _bare(value: Any) -> Any:
    return value.strip().lstrip("@/") if isinstance(value, str) else value


def _without_colons(value: Any) -> Any:
    return value.strip().strip(":") if isinstance(value, str) else value


def _http_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise ValueError("an address that begins with https:// or http://")
    return address.rstrip("/")


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Kept = Annotated[int, Field(ge=0)]
Listed = Annotated[tuple[str, ...], BeforeValidator(parts_of)]
"""A list; in a variable its parts stand between commas."""
Name = Annotated[str, BeforeValidator(_bare), Field(min_length=1)]
HttpAddress = Annotated[str, AfterValidator(_http_address)]
Emoji = Annotated[
    str, BeforeValidator(_without_colons), Field(pattern=r"^[a-z0-9_+'-]*$", max_length=100)
]
"""Name of a reaction; the colons around it may be there."""
AnyPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
FOR_PEOPLE_SHARE = 4
"""One of so many is kept for people, unless settings say how many."""


def kept_for_people(said: int | None, of: int) -> int:
    """How many of so many automations leave free; `said`: what a setting says."""
    if said is not None:
        return said
    return 0 if of == 1 else max(1, of // FOR_PEOPLE_SHARE)


def check_kept(key: str, said: int | None, of: int) -> None:
    """:raises ValueError: nothing would be left, and no automation ever ran"""
    if said is not None and said >= of:
        raise ValueError(f"{key} should be less than {of}, all there are, but is {said}")


class Section(BaseModel):
    """A group of settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Dollars = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _listening(said: str) -> str:
    host, _, port = said.rpartition(":")
    if said and not (host and port.isdigit() and int(port) <= 65535):
        raise ValueError("an address and a port, such as `0.0.0.0:8485`")
    return said


ListenAddress = Annotated[str, AfterValidator(_listening)]


def _egress_line(text: str) -> str:
    try:
        read_rule(text, allow=True, source="")
    except BadRule as error:
        raise ValueError(
            f"a list of HOST, *.HOST, HOST:PORT, addresses, ranges ({error})"
        ) from error
    return text


def _service_line(text: str) -> str:
    if read_rule(_egress_line(text), allow=True, source="").port is None:
        raise ValueError("a list of HOST:PORT, each with its port")
    return text


EgressLines = Annotated[
    tuple[Annotated[str, AfterValidator(_egress_line)], ...], BeforeValidator(parts_of)
]
ServiceLines = Annotated[
    tuple[Annotated[str, AfterValidator(_service_line)], ...], BeforeValidator(parts_of)
]
