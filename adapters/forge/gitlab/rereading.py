"""Looks whether a note of GitLab still stands; what its edits say is told by the poll."""

from collections.abc import Sequence

from adapters.chat.incoming import Reworded, Spot, Waiting, Withdrawn
from adapters.chat.port import Deadline, Gone
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.places import Place, project_path
from adapters.forge.gitlab.port import SURFACE


class GitLabRereads:
    """Reads notes of one GitLab."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def forget_but(self, waiting: Sequence[Waiting]) -> None:
        """Nothing is kept."""

    async def reread(self, waiting: Waiting, deadline: Deadline) -> Sequence[Reworded | Withdrawn]:
        """That it was deleted, if it was. :raises ChatError:"""
        place = Place.read(waiting.place)
        number = waiting.key.rpartition("/")[2]
        try:
            await self._client.get(f"{place.path}/notes/{number}", deadline)
        except Gone:
            # Or the project is: of that nothing is concluded.
            await self._client.get(project_path(place.project), deadline)
            spot = Spot(surface=SURFACE, channel=place.project, place=waiting.place)
            return [Withdrawn(spot=spot, author=waiting.author, key=waiting.key)]
        return []
