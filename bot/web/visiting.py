"""The shapes of the API about visits to machines."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from bot.web.shapes import Given, Taken


class SshKey(Taken):
    """A key that shall log in."""

    public_key: str = Field(max_length=2048, description="one line, as in `id_ed25519.pub`")


class SshAccess(Given):
    """What an SSH client needs."""

    machine: str
    host_name: str = Field(description="what the machine's host certificate is for")
    user: str
    certificate: str = Field(description="of the key, one line")
    known_hosts: str = Field(description="line by which the machine is known")
    seconds: int = Field(description="for which the certificate opens a login")
    directory: str = Field(description="of the repository in the machine")


class NewPreview(Taken):
    """A port to be shown."""

    port: int = Field(ge=1, le=65535, description="in the machine")
    hours: float | None = Field(
        default=None, gt=0, description="life of the address; none: web.preview_hours"
    )


class Preview(Given):
    """An address under which a port is seen."""

    id: UUID
    port: int
    url: str
    creator: str
    created_at: datetime
    expires_at: datetime


class Previews(Given):
    """Previews of a session."""

    previews: list[Preview]
